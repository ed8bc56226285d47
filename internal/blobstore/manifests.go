package blobstore

import (
	"bytes"
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/publish"
)

// manifestsOf returns the manifests of all artifacts, children before their parents, and which is the artifact's own.
func manifestsOf(artifacts []publish.Artifact) (all, own []publish.Manifest, err error) {
	for _, a := range artifacts {
		manifests, err := a.Manifests()
		if err != nil {
			return nil, nil, err
		}
		all, own = append(all, manifests...), append(own, manifests[len(manifests)-1])
	}
	return all, own, nil
}

// manifest stores a manifest, after its config if it is an image's.
func (d *destination) manifest(ctx context.Context, m publish.Manifest) error {
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
	_, err := d.store.Put(ctx, digest, mediaType, bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("storing %s: %w", mediaType, err)
	}
	return nil
}
