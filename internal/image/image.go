// Package image puts layers and a configuration together: one image a
// platform, and an index over the images of several platforms.
//
// It stands apart from layers because it knows nothing of Nix, and from
// publish because it moves no bytes: images over unread layers are lazy too,
// and have a digest as soon as the last of their layers is measured.
//
// The invariant: equal layers and configuration make an equal digest. No time
// but the one that is given, no host name, no order of maps gets in.
package image

import (
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/nixery-action/internal/nix"
)

// Epoch is when an image was created unless the user says otherwise: the time
// of everything in a Nix store.
var Epoch = time.Unix(1, 0).UTC()

// Format is a family of media types.
type Format string

// The formats of images. Both hold the same layers, byte for byte.
const (
	Docker Format = "docker" // image manifest version 2, schema 2, and manifest list
	OCI    Format = "oci"    // OCI image specification 1.1
)

// Layer is a layer that can say which store paths it holds, sorted: none if it
// is the root layer.
type Layer interface {
	v1.Layer
	Group() []nix.PathInfo
}

// Options are what an image is made of beside its layers.
type Options struct {
	Platform    v1.Platform
	Config      v1.Config
	Created     time.Time
	Format      Format
	Packages    []Package         // that the root layer links to, sorted by name
	Annotations map[string]string // of the manifest; see [ErrNoAnnotations]
}

// Assemble makes the image of one platform, lowest layer first. Each layer has
// one history entry whose comment says what it holds; see [ReadSizes] and
// [ReadPackages].
//
// Layers may be unread: then the image has no digest until they are measured.
func Assemble[L Layer](layers []L, opts Options) (v1.Image, error) {
	img := mutate.MediaType(empty.Image, pick(opts.Format, types.DockerManifestSchema2, types.OCIManifestSchema1))
	img = mutate.ConfigMediaType(img, pick(opts.Format, types.DockerConfigJSON, types.OCIConfigJSON))
	// The configuration comes first: ConfigFile of an image with an unread layer
	// is an error.
	img, err := mutate.ConfigFile(img, &v1.ConfigFile{
		OS:           opts.Platform.OS,
		Architecture: opts.Platform.Architecture,
		Variant:      opts.Platform.Variant,
		Created:      v1.Time{Time: opts.Created},
		Config:       opts.Config,
		RootFS:       v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{}},
	})
	if err != nil {
		return nil, fmt.Errorf("configuring image: %w", err)
	}
	if img, err = annotateImage(img, opts.Format, opts.Annotations); err != nil {
		return nil, err
	}
	var addenda []mutate.Addendum
	for _, layer := range layers {
		addenda = append(addenda, mutate.Addendum{Layer: layer, History: v1.History{
			Created:   v1.Time{Time: opts.Created},
			CreatedBy: "nixery-action",
			Comment:   comment(layer.Group(), opts.Packages),
		}})
	}
	if img, err = mutate.Append(img, addenda...); err != nil {
		return nil, fmt.Errorf("appending layers: %w", err)
	}
	return img, nil
}

func pick(f Format, docker, oci types.MediaType) types.MediaType {
	if f == OCI {
		return oci
	}
	return docker
}
