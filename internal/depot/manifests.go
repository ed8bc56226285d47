package depot

import (
	"bytes"
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"

	"github.com/org/nixery-action/internal/publish"
)

// manifest is what images and indexes have in common.
type manifest interface {
	partial.Describable
	RawManifest() ([]byte, error)
}

func root(a publish.Artifact) manifest {
	if a.Index != nil {
		return a.Index
	}
	return a.Image
}

// manifestsOf returns the manifests of all artifacts, children before their parents.
func manifestsOf(artifacts []publish.Artifact) ([]manifest, error) {
	var all []manifest
	for _, a := range artifacts {
		if (a.Index == nil) == (a.Image == nil) {
			return nil, fmt.Errorf("image %q: want either an index or an image", a.Name)
		}
		var err error
		if all, err = withChildren(all, root(a)); err != nil {
			return nil, fmt.Errorf("image %q: %w", a.Name, err)
		}
	}
	return all, nil
}

func withChildren(all []manifest, m manifest) ([]manifest, error) {
	index, ok := m.(v1.ImageIndex)
	if !ok {
		return append(all, m), nil
	}
	children, err := partial.Manifests(index)
	if err != nil {
		return nil, fmt.Errorf("reading index: %w", err)
	}
	for _, child := range children {
		c, ok := child.(manifest)
		if !ok {
			return nil, fmt.Errorf("index holds a %T, which is neither an image nor an index", child)
		}
		if all, err = withChildren(all, c); err != nil {
			return nil, err
		}
	}
	return append(all, m), nil
}

// manifest stores a manifest, after its config if it is an image's.
func (d *destination) manifest(ctx context.Context, m manifest) error {
	if image, ok := m.(v1.Image); ok {
		if err := d.config(ctx, image); err != nil {
			return err
		}
	}
	digest, err := m.Digest()
	if err != nil {
		return fmt.Errorf("reading a manifest's digest: %w", err)
	}
	mediaType, err := m.MediaType()
	if err != nil {
		return fmt.Errorf("reading a manifest's media type: %w", err)
	}
	raw, err := m.RawManifest()
	if err != nil {
		return fmt.Errorf("reading a manifest: %w", err)
	}
	return d.raw(ctx, digest, string(mediaType), raw)
}

func (d *destination) config(ctx context.Context, image v1.Image) error {
	parsed, err := image.Manifest()
	if err != nil {
		return fmt.Errorf("reading a manifest: %w", err)
	}
	raw, err := image.RawConfigFile()
	if err != nil {
		return fmt.Errorf("reading a config: %w", err)
	}
	return d.raw(ctx, parsed.Config.Digest, string(parsed.Config.MediaType), raw)
}

func (d *destination) raw(ctx context.Context, digest v1.Hash, mediaType string, raw []byte) error {
	_, err := d.depot.Put(ctx, digest, mediaType, bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("storing %s: %w", mediaType, err)
	}
	return nil
}
