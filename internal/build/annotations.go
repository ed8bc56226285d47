package build

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/image"
)

// Annotations are those of the manifests of one image. Only the format oci has
// them: https://github.com/opencontainers/image-spec/blob/main/annotations.md
type Annotations struct {
	// Index is for the index of an image of several platforms.
	Index map[string]string
	// Manifest is for the manifests of images: of one platform, as
	// [v1.Platform.String] writes it, or of all under "". The platform's own
	// value overrides the one for all. Platforms that the image is not built for
	// are ignored.
	Manifest map[string]map[string]string
}

// of returns the annotations of the manifest of a platform.
func (a Annotations) of(platform v1.Platform) map[string]string {
	all := map[string]string{}
	maps.Copy(all, a.Manifest[""])
	maps.Copy(all, a.Manifest[platform.String()])
	return all
}

// ErrNoIndex reports annotations for an index where none is built: an image of
// one platform is published without an index.
var ErrNoIndex = errors.New("an image of one platform has no index to annotate; write manifest: in front of the annotation, or ask for more platforms")

// CheckAnnotations returns [ErrNoIndex] or [image.ErrNoAnnotations] if no manifest
// of the target can have its annotations. It does no I/O.
func (t Target) CheckAnnotations() error {
	if len(t.Architectures) == 1 && len(t.Annotations.Index) > 0 {
		return fmt.Errorf("image %s: %w", t.Name, ErrNoIndex)
	}
	for _, set := range slices.Concat([]map[string]string{t.Annotations.Index}, slices.Collect(maps.Values(t.Annotations.Manifest))) {
		if err := image.CheckAnnotations(image.Format(t.Format), set); err != nil {
			return fmt.Errorf("image %s: %w", t.Name, err)
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
