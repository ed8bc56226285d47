package report

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/explain"
)

// Run is what one run did. It differs from run to run.
type Run struct {
	// Incomplete reports that the run failed after something was published: Published and the tags of Images list it.
	Incomplete bool `json:"incomplete,omitempty"`
	// Published are the destinations that have everything, in the order in which they got it.
	Published []Published `json:"published,omitempty"`

	CacheHit bool       `json:"cacheHit"` // no layer was packed: each record, or its blob, was cached
	Seconds  float64    `json:"seconds"`
	Images   []ImageRun `json:"images"` // in the order of Report.Images
	Warnings []Warning  `json:"warnings,omitempty"`
}

// Warning is what is most likely wrong with an image that was built all the
// same. An image whose layers are all from earlier runs may have others.
type Warning struct {
	Image   string `json:"image"`
	Title   string `json:"title"`
	Message string `json:"message"`
}

// ImageRun is what one image cost.
type ImageRun struct {
	Name    string     `json:"name"`
	Seconds float64    `json:"seconds"`           // from the start of the run until its last layer was in place
	Layers  []LayerRun `json:"layers,omitempty"`  // of all platforms, each once
	Tags    []TagRun   `json:"tags,omitempty"`    // in registries, in the order in which they were given
	Changes *Changes   `json:"changes,omitempty"` // absent if no registry was asked, or it did not say
	// Inspections are of manifests that a registry had, and was asked for the blobs of.
	Inspections []Inspection `json:"inspections,omitempty"`
}

// Inspection is what a registry said when it was asked for each blob of an image.
type Inspection struct {
	Repository string    `json:"repository"`
	Digest     v1.Hash   `json:"digest"` // of the platform's manifest
	Blobs      int       `json:"blobs"`  // that it was asked for
	Lost       []v1.Hash `json:"lost,omitempty"`
}

// Kind is a kind of destination.
type Kind string

// The kinds of destination, in the words of outputs.
const (
	ToRegistry Kind = "registry"
	ToLayout   Kind = "oci"
	ToArchive  Kind = "docker"
	ToDaemon   Kind = "daemon"
)

// Published is a destination that has all images.
type Published struct {
	Kind  Kind     `json:"kind"`
	Path  string   `json:"path,omitempty"` // of a file or layout
	Names []string `json:"names"`          // tags, and repositories that have the images by digest only
}

// TagRun is the outcome of one tag in a registry.
type TagRun struct {
	Tag     string `json:"tag"`
	Outcome string `json:"outcome"`         // same, created, moved, refused, unknown or untried
	From    string `json:"from,omitempty"`  // the digest that it had, if it existed and the registry said so
	Error   string `json:"error,omitempty"` // why it could not be set
}

// Set reports whether the tag names the image now.
func (t TagRun) Set() bool {
	return t.Outcome == "same" || t.Outcome == "created" || t.Outcome == "moved"
}

// LayerRun is what a run did with one layer.
type LayerRun struct {
	Digest v1.Hash     `json:"digest"`
	Status LayerStatus `json:"status"`
}

// LayerStatus is where the bytes of a layer came from. For a layer that went to
// several repositories, it is the status that cost most.
type LayerStatus string

// In the order of what they cost. The first two are of layers that went to no registry.
const (
	Cached   LayerStatus = "cached"   // by an earlier run; no destination read its bytes
	Built    LayerStatus = "built"    // packed by this run, for a file or a digest
	Existing LayerStatus = "existing" // the registry had it
	Mounted  LayerStatus = "mounted"  // from another repository of the registry
	Uploaded LayerStatus = "uploaded"
)

// Reused reports whether the layer was neither packed for a file nor uploaded.
func (s LayerStatus) Reused() bool { return s != Built && s != Uploaded }

// Changes are the differences from the image that a tag named before the run.
type Changes struct {
	Change    ChangeKind           `json:"change"`
	Previous  string               `json:"previous"`      // the tag, example.com/box:v1
	Old       string               `json:"old,omitempty"` // the digest that it had
	Platforms []explain.Difference `json:"platforms,omitempty"`
}

// ChangeKind is how an image differs from the one that its tag named before.
type ChangeKind string

// Only Changed has differences.
const (
	First   ChangeKind = "first"   // nothing was under the tag
	Same    ChangeKind = "same"    // the same image was
	Changed ChangeKind = "changed" // another was
	Unread  ChangeKind = "unread"  // another was, and could not be read
)
