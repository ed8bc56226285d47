package main

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/explain"
	"github.com/org/nixery-action/internal/publish"
)

// readReference reads what a registry has under a reference, but no layer.
func readReference(ctx context.Context, r *publish.Registry, ref name.Reference) ([]explain.Contents, error) {
	artifact, err := r.Pull(ctx, ref)
	if err != nil {
		return nil, err
	}
	if artifact.Index == nil {
		contents, err := imageContents(artifact.Image)
		if err != nil {
			return nil, fmt.Errorf("reading image %s: %w", ref, err)
		}
		return []explain.Contents{contents}, nil
	}
	index, err := artifact.Index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("reading index %s: %w", ref, err)
	}
	return eachImage(index, func(d v1.Descriptor) ([]explain.Contents, error) {
		return readReference(ctx, r, ref.Context().Digest(d.Digest.String()))
	})
}

func imageContents(img v1.Image) (explain.Contents, error) {
	manifest, err := img.Manifest()
	if err != nil {
		return explain.Contents{}, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return explain.Contents{}, err
	}
	return explain.ImageContents(manifest, config)
}

// eachImage reads the images of an index. Docker's attestations are among its
// manifests, for a platform called unknown.
func eachImage(index *v1.IndexManifest, read func(v1.Descriptor) ([]explain.Contents, error)) ([]explain.Contents, error) {
	var all []explain.Contents
	for _, d := range index.Manifests {
		if !d.MediaType.IsImage() || d.Platform != nil && d.Platform.OS == "unknown" {
			continue
		}
		contents, err := read(d)
		if err != nil {
			return nil, err
		}
		all = append(all, contents...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the index has no images")
	}
	return all, nil
}
