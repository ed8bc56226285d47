//go:build e2e

package cli

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

	"github.com/org/nixery-action/internal/report"
)

// agrees pulls a reference whole, validates it, and compares it with what a
// metadata file says of the image of that name:
//
//	agrees FILE IMAGE REFERENCE
func agrees(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: agrees FILE IMAGE REFERENCE")
	}
	var file struct{ Nixery report.Report }
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
func published(r report.Image) report.Image {
	known := report.Image{MediaType: r.MediaType, Digest: r.Digest, ManifestSize: r.ManifestSize}
	for _, p := range r.Platforms {
		platform := report.Platform{Platform: p.Platform, Digest: p.Digest, Config: p.Config, Size: p.Size}
		for _, l := range p.Layers {
			platform.Layers = append(platform.Layers, report.Layer{Digest: l.Digest, DiffID: l.DiffID, Size: l.Size})
		}
		known.Platforms = append(known.Platforms, platform)
	}
	return known
}

func pull(ref name.Reference) (report.Image, error) {
	options := []remote.Option{remote.WithAuth(&authn.Basic{Username: "u", Password: secret})}
	descriptor, err := remote.Get(ref, options...)
	if err != nil {
		return report.Image{}, err
	}
	pulled := report.Image{MediaType: descriptor.MediaType, Digest: descriptor.Digest, ManifestSize: descriptor.Size}
	if !descriptor.MediaType.IsIndex() {
		image, err := descriptor.Image()
		if err != nil {
			return pulled, err
		}
		err = addPlatform(&pulled, image)
		return pulled, err
	}
	index, err := descriptor.ImageIndex()
	if err != nil {
		return pulled, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return pulled, err
	}
	for _, child := range manifest.Manifests {
		image, err := index.Image(child.Digest)
		if err != nil {
			return pulled, err
		}
		if err := addPlatform(&pulled, image); err != nil {
			return pulled, fmt.Errorf("%s: %w", child.Platform, err)
		}
	}
	return pulled, nil
}

// addPlatform reads all bytes of an image, and checks them.
func addPlatform(r *report.Image, image v1.Image) error {
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
	p := report.Platform{Platform: config.Platform().String(), Config: manifest.Config.Digest}
	if p.Digest, err = image.Digest(); err != nil {
		return err
	}
	for i, layer := range manifest.Layers {
		p.Size += layer.Size
		p.Layers = append(p.Layers, report.Layer{
			Digest: layer.Digest, DiffID: config.RootFS.DiffIDs[i], Size: layer.Size,
		})
	}
	r.Platforms = append(r.Platforms, p)
	return nil
}
