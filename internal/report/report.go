// Package report has the types of what a run built and did, which other packages
// write as JSON, Markdown or text. It is apart from build, which collects the
// facts, so that writers of reports import neither Nix nor registries.
//
// The invariant: all of a Report but Run, tags and repositories is the same for
// every run that builds the same images of the same source, whatever the cache or
// a registry had.
package report

import (
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
)

// Report is what a run built. Its JSON is that of --metadata-file.
type Report struct {
	Images []Image `json:"images"` // in the order of the targets
	Source Source  `json:"source"`
	Run    Run     `json:"run"`
}

// Source is where the packages are from. It holds no credentials.
type Source struct {
	Source string `json:"source"`           // "channel nixos-25.11", "path", …
	Pinned string `json:"pinned,omitempty"` // what it was resolved to, "nixpkgs commit 1f…"; absent if it cannot be pinned
}

// Image is one image of the spec: an index, or an image if there is one
// platform only.
type Image struct {
	Name         string          `json:"name"`
	MediaType    types.MediaType `json:"mediaType"`
	Digest       v1.Hash         `json:"digest"`
	ManifestSize int64           `json:"manifestSize"`           // of what the digest is of, bytes
	Tags         []string        `json:"tags"`                   // in registries and docker's daemon, that name it now
	Repositories []string        `json:"repositories,omitempty"` // in registries, that have it by digest
	Platforms    []Platform      `json:"platforms"`              // in the order of the spec
	Popularity   Table           `json:"popularity"`
}

// Untagged are the repositories that have the image, and no tag for it.
func (i Image) Untagged() []string {
	return slices.DeleteFunc(slices.Clone(i.Repositories), func(repository string) bool {
		return slices.ContainsFunc(i.Tags, func(tag string) bool { return strings.HasPrefix(tag, repository+":") })
	})
}

// Table is the popularity table that the layers were planned with: with another
// one, the digest may be another too.
type Table struct {
	Source string `json:"source"`           // "embedded", "none", a file, or a URL without its query
	SHA256 string `json:"sha256,omitempty"` // of the counts, as nixery-action writes them; absent for none
}

// Platform is one platform's image.
type Platform struct {
	Platform     string  `json:"platform"`
	Digest       v1.Hash `json:"digest"`
	Config       v1.Hash `json:"config"`
	Size         int64   `json:"size"`         // compressed bytes of all layers
	UnpackedSize int64   `json:"unpackedSize"` // NAR bytes of the closure; the root layer's links are not counted
	Layers       []Layer `json:"layers,omitempty"`
}

// Layer is one layer, lowest first; the last is the root layer, which holds no
// store path.
type Layer struct {
	Digest   v1.Hash         `json:"digest"`
	DiffID   v1.Hash         `json:"diffID"`
	Size     int64           `json:"size"` // of the blob, bytes
	Key      layers.Key      `json:"key"`
	Paths    []nix.StorePath `json:"paths"`
	NarSizes []int64         `json:"narSizes"` // of the paths, in their order, bytes
}

// WithoutLayers returns a copy without layers and packages, which are most of a
// report.
func (r *Report) WithoutLayers() *Report {
	short := &Report{Source: r.Source, Run: r.Run, Images: slices.Clone(r.Images)}
	for i := range short.Images {
		short.Images[i].Platforms = slices.Clone(short.Images[i].Platforms)
		for j := range short.Images[i].Platforms {
			short.Images[i].Platforms[j].Layers = nil
		}
	}
	short.Run.Images = slices.Clone(r.Run.Images)
	for i := range short.Run.Images {
		short.Run.Images[i].Layers = nil
		if c := short.Run.Images[i].Changes; c != nil {
			short.Run.Images[i].Changes = &Changes{Change: c.Change, Previous: c.Previous, Old: c.Old}
		}
	}
	return short
}
