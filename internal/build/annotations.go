package build

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/image"
)

// Annotations are what the manifests of one image say beside their layers. Only
// the format oci has them.
type Annotations struct {
	// Index is for the index of an image of several platforms.
	Index map[string]string
	// Manifest is for the manifests of images: of one platform, as
	// [v1.Platform.String] writes it, or of all under "". The platform's own
	// value goes before the one for all. Platforms that the image is not made for
	// count for nothing.
	Manifest map[string]map[string]string
}

// of is what the manifest of a platform is annotated with.
func (a Annotations) of(platform v1.Platform) map[string]string {
	all := map[string]string{}
	maps.Copy(all, a.Manifest[""])
	maps.Copy(all, a.Manifest[platform.String()])
	return all
}

// ErrNoIndex says that there are annotations for an index, and no index: an
// image of one platform is published as itself.
var ErrNoIndex = errors.New("an image of one platform has no index to annotate; write manifest: in front of the annotation, or ask for more platforms")

// CheckAnnotations tells whether a target's annotations have a place to go to.
// It costs nothing. Otherwise it is [ErrNoIndex] or [image.ErrNoAnnotations].
func (o Target) CheckAnnotations() error {
	if len(o.Architectures) == 1 && len(o.Annotations.Index) > 0 {
		return fmt.Errorf("image %s: %w", o.Name, ErrNoIndex)
	}
	for _, set := range slices.Concat([]map[string]string{o.Annotations.Index}, slices.Collect(maps.Values(o.Annotations.Manifest))) {
		if err := image.CheckAnnotations(image.Format(o.Format), set); err != nil {
			return fmt.Errorf("image %s: %w", o.Name, err)
		}
	}
	return nil
}

func checkAnnotations(targets []Target) error {
	for _, target := range targets {
		if err := target.CheckAnnotations(); err != nil {
			return err
		}
	}
	return nil
}
