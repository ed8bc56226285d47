//go:build e2e

package main

import (
	"encoding/json"
	"fmt"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/org/nixery-action/internal/pipeline"
)

// agrees pulls a reference whole, validates it, and compares it with what a
// metadata file says of the image of that name:
//
//	agrees FILE IMAGE REFERENCE
func agrees(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: agrees FILE IMAGE REFERENCE")
	}
	var file struct{ Nixery pipeline.Report }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &file))
	ref, err := name.ParseReference(args[2])
	ts.Check(err)
	for _, said := range file.Nixery.Images {
		if said.Name != args[1] {
			continue
		}
		pulled, err := pull(ref)
		ts.Check(err)
		if diff := cmp.Diff(published(said), pulled); diff != "" {
			ts.Fatalf("the metadata file and the registry differ (-file +registry):\n%s", diff)
		}
		return
	}
	ts.Fatalf("no image %q in %s", args[1], args[0])
}

// published is what a registry can know of a report: neither names of images,
// nor keys and store paths of layers.
func published(r pipeline.ImageReport) pipeline.ImageReport {
	known := pipeline.ImageReport{MediaType: r.MediaType, Digest: r.Digest, ManifestSize: r.ManifestSize}
	for _, p := range r.Platforms {
		platform := pipeline.PlatformReport{Platform: p.Platform, Digest: p.Digest, Config: p.Config, Size: p.Size}
		for _, l := range p.Layers {
			platform.Layers = append(platform.Layers, pipeline.LayerReport{Digest: l.Digest, DiffID: l.DiffID, Size: l.Size})
		}
		known.Platforms = append(known.Platforms, platform)
	}
	return known
}

func pull(ref name.Reference) (pipeline.ImageReport, error) {
	options := []remote.Option{remote.WithAuth(&authn.Basic{Username: "u", Password: secret})}
	descriptor, err := remote.Get(ref, options...)
	if err != nil {
		return pipeline.ImageReport{}, err
	}
	report := pipeline.ImageReport{MediaType: descriptor.MediaType, Digest: descriptor.Digest, ManifestSize: descriptor.Size}
	if !descriptor.MediaType.IsIndex() {
		image, err := descriptor.Image()
		if err != nil {
			return report, err
		}
		err = addPlatform(&report, image)
		return report, err
	}
	index, err := descriptor.ImageIndex()
	if err != nil {
		return report, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return report, err
	}
	for _, child := range manifest.Manifests {
		image, err := index.Image(child.Digest)
		if err != nil {
			return report, err
		}
		if err := addPlatform(&report, image); err != nil {
			return report, fmt.Errorf("%s: %w", child.Platform, err)
		}
	}
	return report, nil
}

// addPlatform reads all bytes of an image, and checks them.
func addPlatform(r *pipeline.ImageReport, image v1.Image) error {
	if err := validate.Image(image); err != nil {
		return err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	p := pipeline.PlatformReport{Platform: config.Platform().String(), Config: manifest.Config.Digest}
	if p.Digest, err = image.Digest(); err != nil {
		return err
	}
	for i, layer := range manifest.Layers {
		p.Size += layer.Size
		p.Layers = append(p.Layers, pipeline.LayerReport{
			Digest: layer.Digest, DiffID: config.RootFS.DiffIDs[i], Size: layer.Size,
		})
	}
	r.Platforms = append(r.Platforms, p)
	return nil
}
