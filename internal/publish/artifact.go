// Package publish delivers images and indexes to where users want them: registries, OCI layouts, docker archives and docker's daemon.
// An [Artifact] becomes a digest that can be pulled.
//
// It stands apart so that everything which moves an image's bytes out of the process is in one place, and knows nothing of
// Nix, of specs or of how a layer is made: it sees go-containerregistry's types only, and imports no sibling package.
//
// The invariant: nothing can be found by name before all that it refers to is there. Tags, an index.json and archives
// appear last, and on any failure before that none of them has moved. Tags are set one after the other, and a [TagsError] says which
// of them have moved.
package publish

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
)

// Artifact is what is published for one image of the spec.
//
// Layers may be unread: as long as their Digest is stream.ErrNotComputed they are streamed, and once a stream of theirs has been
// drained and closed, Digest, DiffID and Size must be known. Every call of a layer's Compressed must open a fresh
// stream with the same bytes. Layers must be comparable: a pointer that is in several artifacts or platforms is
// delivered once per repository.
type Artifact struct {
	// Name is the image's name in the spec, for messages.
	Name string
	// Index or Image, never both: several platforms or one. Both are nil when a Destination is only asked to Check.
	Index v1.ImageIndex
	Image v1.Image
	// Tags may span several repositories and registries.
	Tags []name.Tag
	// Repositories get the artifact by digest only. A repository that Tags name need not be here.
	Repositories []name.Repository
	// Attach returns manifests whose subject is the artifact's own manifest, or one of its children: OCI referrers, such as bills of
	// materials (https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md, "subject"). It is called once or more, and only
	// when every layer of the artifact has been measured, for no subject has a digest before. The layers of what it returns must
	// be known, and every call must return the same. nil attaches nothing.
	//
	// [Registry], [Layout] and the blob store hold them; docker's archives and daemons have no place for them, so [Archive] and [Daemon] leave them out.
	Attach func() ([]v1.Image, error)
	// Inspector decides which images that a registry has are inspected; nil believes all registries.
	Inspector Inspector
}

// Destination is where artifacts go: [Registry], [Layout], [Archive] or [Daemon].
type Destination interface {
	// Check tells early, before anything is built, what would make Publish fail: no permission, no registry, no
	// space to write to. It reads Name, Tags and Repositories only, and leaves nothing behind.
	Check(ctx context.Context, artifacts []Artifact) error
	// CheckFirst reports whether Check comes before all else, even if nothing needs to be built. It is false where Publish
	// finds out as early, since all that it needs may be there already.
	CheckFirst() bool
	// Publish delivers all artifacts, and returns one digest per artifact, in the same order. On an error none can be found
	// by name, unless it is a *TagsError. It returns soon after ctx is cancelled, with an error that matches ctx's cause.
	Publish(ctx context.Context, artifacts []Artifact) ([]v1.Hash, error)
}

// Manifest is what images and indexes have in common: each is a v1.Image or a v1.ImageIndex.
type Manifest interface {
	partial.Describable
	RawManifest() ([]byte, error)
}

func (a Artifact) manifest() (Manifest, error) {
	switch {
	case a.Image != nil && a.Index != nil:
		return nil, fmt.Errorf("image %q: both an index and an image are given", a.Name)
	case a.Image != nil:
		return a.Image, nil
	case a.Index != nil:
		return a.Index, nil
	default:
		return nil, fmt.Errorf("image %q: neither an index nor an image is given", a.Name)
	}
}

// Manifests returns the artifact's manifests, children before their parents, the artifact's own last. It reads indexes, and no image.
// Without either, or with both, it is an error.
func (a Artifact) Manifests() ([]Manifest, error) {
	m, err := a.manifest()
	if err != nil {
		return nil, err
	}
	all, err := withChildren(nil, m)
	if err != nil {
		return nil, fmt.Errorf("image %q: %w", a.Name, err)
	}
	return all, nil
}

func withChildren(all []Manifest, m Manifest) ([]Manifest, error) {
	index, ok := m.(v1.ImageIndex)
	if !ok {
		return append(all, m), nil
	}
	children, err := partial.Manifests(index)
	if err != nil {
		return nil, fmt.Errorf("reading index: %w", err)
	}
	for _, child := range children {
		c, ok := child.(Manifest)
		if !ok {
			return nil, fmt.Errorf("index holds a %T, which is neither an image nor an index", child)
		}
		if all, err = withChildren(all, c); err != nil {
			return nil, err
		}
	}
	return append(all, m), nil
}

// images returns the images among the artifact's manifests, in order.
func (a Artifact) images() ([]v1.Image, error) {
	manifests, err := a.Manifests()
	if err != nil {
		return nil, err
	}
	var images []v1.Image
	for _, m := range manifests {
		if image, ok := m.(v1.Image); ok {
			images = append(images, image)
		}
	}
	return images, nil
}

// layers returns the layers of each platform in turn, lowest first; a layer that platforms share comes once for each.
func (a Artifact) layers() ([]v1.Layer, error) {
	images, err := a.images()
	if err != nil {
		return nil, err
	}
	var all []v1.Layer
	for _, image := range images {
		layers, err := image.Layers()
		if err != nil {
			return nil, fmt.Errorf("image %q: reading layers: %w", a.Name, err)
		}
		all = append(all, layers...)
	}
	return all, nil
}

// Attached returns what Attach does, after having verified that each has a subject.
func (a Artifact) Attached() ([]v1.Image, error) {
	if a.Attach == nil {
		return nil, nil
	}
	images, err := a.Attach()
	if err != nil {
		return nil, fmt.Errorf("image %q: making attached manifests: %w", a.Name, err)
	}
	for _, image := range images {
		manifest, err := image.Manifest()
		if err != nil {
			return nil, fmt.Errorf("image %q: reading attached manifest: %w", a.Name, err)
		}
		if manifest.Subject == nil {
			return nil, fmt.Errorf("image %q: an attached manifest has no subject", a.Name)
		}
	}
	return images, nil
}

// layerKey tells equal layers apart from others: by digest if that is known, else by identity.
func layerKey(l v1.Layer) any {
	if digest, err := l.Digest(); err == nil {
		return digest
	}
	return l
}

// digests returns each artifact's digest. All layers must have been measured.
func digests(artifacts []Artifact) ([]v1.Hash, error) {
	hashes := make([]v1.Hash, len(artifacts))
	for i, a := range artifacts {
		m, err := a.manifest()
		if err != nil {
			return nil, err
		}
		if hashes[i], err = m.Digest(); err != nil {
			return nil, fmt.Errorf("image %q: reading digest: %w", a.Name, err)
		}
	}
	return hashes, nil
}
