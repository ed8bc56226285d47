package image

import (
	"encoding/json"
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/org/nixery-action/internal/nix"
)

// Index makes the index over images of several platforms, in order of platform
// name. The keys of images are platforms as [ParsePlatform] reads them. The
// annotations are the index's own, and none for docker's format; see
// [ErrNoAnnotations].
func Index(images map[string]v1.Image, format Format, annotations map[string]string) (v1.ImageIndex, error) {
	idx := mutate.IndexMediaType(empty.Index, pick(format, types.DockerManifestList, types.OCIImageIndex))
	idx, err := annotateIndex(idx, format, annotations)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(images)) {
		platform, err := nix.ParsePlatform(name)
		if err != nil {
			return nil, err
		}
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{
			Add:        images[name],
			Descriptor: v1.Descriptor{Platform: &platform},
		})
	}
	return index{idx}, nil
}

// index leaves the artifact type out of descriptors. It is for things that are
// no images (OCI image-spec 1.1, "Descriptors"); neither docker's manifest
// lists nor other tools' indexes have it on images.
type index struct{ inner }

// inner gives the embedded index a name that is not that of its method.
type inner = v1.ImageIndex

func (i index) IndexManifest() (*v1.IndexManifest, error) {
	manifest, err := i.inner.IndexManifest()
	if err != nil {
		return nil, err
	}
	manifest = manifest.DeepCopy()
	for j := range manifest.Manifests {
		manifest.Manifests[j].ArtifactType = ""
	}
	return manifest, nil
}

func (i index) RawManifest() ([]byte, error) {
	manifest, err := i.IndexManifest()
	if err != nil {
		return nil, err
	}
	return json.Marshal(manifest)
}

func (i index) Digest() (v1.Hash, error) { return partial.Digest(i) }
func (i index) Size() (int64, error)     { return partial.Size(i) }

// Manifests are the images themselves, which may be lazy.
func (i index) Manifests() ([]partial.Describable, error) { return partial.Manifests(i.inner) }
