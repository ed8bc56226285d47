package image

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

var annotations = map[string]string{"org.example.b": "2", "org.example.a": "1 <&> \n"}

func TestAnnotations(t *testing.T) {
	all := twoLayers(t, OCI)
	img, err := Assemble(all, Options{Platform: v1.Platform{OS: "linux", Architecture: "amd64"}, Created: Epoch, Format: OCI, Annotations: annotations})
	if err != nil {
		t.Fatal(err)
	}
	idx, err := Index(map[string]v1.Image{"linux/amd64": img}, OCI, map[string]string{"org.example.index": "x"})
	if err != nil {
		t.Fatal(err)
	}
	measure(t, all)
	manifest, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(annotations, manifest.Annotations); diff != "" || len(manifest.Layers) != 2 {
		t.Errorf("%d layers, annotations (-want +got):\n%s", len(manifest.Layers), diff)
	}
	index, err := idx.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"org.example.index": "x"}, index.Annotations); diff != "" || len(index.Manifests) != 1 {
		t.Errorf("%d manifests, annotations (-want +got):\n%s", len(index.Manifests), diff)
	}
	if got := index.Manifests[0].Annotations; len(got) > 0 {
		t.Errorf("a descriptor has unwanted annotations: %v", got)
	}
}

func TestDockerHasNoAnnotations(t *testing.T) {
	all := twoLayers(t, Docker)
	if _, err := Assemble(all, Options{Format: Docker, Annotations: annotations}); !errors.Is(err, ErrNoAnnotations) {
		t.Errorf("image: %v", err)
	}
	if _, err := Index(nil, Docker, annotations); !errors.Is(err, ErrNoAnnotations) {
		t.Errorf("index: %v", err)
	}
}
