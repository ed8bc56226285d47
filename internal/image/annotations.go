package image

import (
	"errors"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// ErrNoAnnotations says that manifests of the format [Docker] cannot be
// annotated: "annotations" is a field of OCI's
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md).
var ErrNoAnnotations = errors.New("docker's manifests cannot be annotated; choose format: oci in the spec, or use labels")

// CheckAnnotations tells whether manifests of a format can have annotations; it
// is [ErrNoAnnotations] if not. None are no error.
func CheckAnnotations(format Format, annotations map[string]string) error {
	if format != OCI && len(annotations) > 0 {
		return ErrNoAnnotations
	}
	return nil
}

// annotateImage comes before the layers do: the manifest of an image with an
// unread layer cannot be read.
func annotateImage(img v1.Image, format Format, annotations map[string]string) (v1.Image, error) {
	if len(annotations) == 0 {
		return img, nil
	}
	return mutate.Annotations(img, annotations).(v1.Image), CheckAnnotations(format, annotations)
}

func annotateIndex(idx v1.ImageIndex, format Format, annotations map[string]string) (v1.ImageIndex, error) {
	if len(annotations) == 0 {
		return idx, nil
	}
	return mutate.Annotations(idx, annotations).(v1.ImageIndex), CheckAnnotations(format, annotations)
}
