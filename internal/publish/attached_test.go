package publish

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/nixery-action/internal/registry/registrytest"
)

// withBill is an image whose layer is unread, with one document attached.
func withBill(t *testing.T) Artifact {
	t.Helper()
	image := registrytest.ImageOf(t, "amd64", registrytest.NewLayer(t, 1, 1000))
	return Artifact{Name: "box", Image: image, Attach: func() ([]v1.Image, error) {
		subject, err := partial.Descriptor(image)
		if err != nil {
			return nil, err
		}
		bill, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), static.NewLayer([]byte(`{"spdxVersion":"SPDX-2.3"}`), "application/spdx+json"))
		if err != nil {
			return nil, err
		}
		return []v1.Image{mutate.Subject(bill, *subject).(v1.Image)}, nil
	}}
}

func billOf(t *testing.T, a Artifact) v1.Hash {
	t.Helper()
	bills, err := a.Attach()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := bills[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// A registry without an API for referrers lists them under the fallback tag, once, however often the image is pushed.
func TestRegistryHoldsAttachedManifests(t *testing.T) {
	reg := registrytest.NewRegistry(t, &registrytest.Fault{Method: "GET", Path: "/referrers/", Nth: 1, Forever: true, Answer: registrytest.Status(http.StatusNotFound)})
	a := withBill(t)
	a.Tags = []name.Tag{reg.Tag(t, "a:x")}
	r, _ := hasty(RegistryOptions{})
	for range 2 {
		digests, err := r.Publish(t.Context(), []Artifact{a})
		if err != nil {
			t.Fatal(err)
		}
		bill := billOf(t, a)
		got, err := remote.Get(a.Tags[0].Context().Tag("sha256-" + digests[0].Hex))
		if err != nil {
			t.Fatal(err)
		}
		var index v1.IndexManifest
		if err := json.Unmarshal(got.Manifest, &index); err != nil || len(index.Manifests) != 1 || index.Manifests[0].Digest != bill {
			t.Errorf("the fallback tag names %s, %v, want %s", got.Manifest, err, bill)
		}
		image, err := remote.Image(a.Tags[0].Context().Digest(bill.String()))
		if err != nil {
			t.Fatal(err)
		}
		if layers, err := image.Layers(); err != nil || len(layers) != 1 {
			t.Errorf("the attached manifest has layers %v, %v", layers, err)
		}
	}
	puts := reg.Matching("PUT ", "/manifests/")
	if len(puts) < 2 || !strings.Contains(puts[1], billOf(t, a).String()) {
		t.Errorf("manifests were set in the order %q", puts)
	}
}

func TestLayoutHoldsAttachedManifests(t *testing.T) {
	dir, a := t.TempDir(), withBill(t)
	a.Tags = []name.Tag{tagOf(t, "ghcr.io/acme/box:x")}
	for range 2 {
		if _, err := (Layout{Path: dir}).Publish(t.Context(), []Artifact{a}); err != nil {
			t.Fatal(err)
		}
	}
	path, err := layout.FromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	image, err := path.Image(billOf(t, a))
	if err != nil {
		t.Fatal(err)
	}
	if layers, err := image.Layers(); err != nil || len(layers) != 1 {
		t.Errorf("the attached manifest has layers %v, %v", layers, err)
	}
	index, err := readIndex(dir)
	if err != nil || len(index.Manifests) != 2 {
		t.Errorf("index.json is %v, %v", index, err)
	}
}

func TestAttachedManifestsNeedASubject(t *testing.T) {
	a := withBill(t)
	a.Attach = func() ([]v1.Image, error) { return []v1.Image{empty.Image}, nil }
	if _, err := (Layout{Path: t.TempDir()}).Publish(t.Context(), []Artifact{a}); err == nil || !strings.Contains(err.Error(), "has no subject") {
		t.Errorf("error is %v", err)
	}
}

func TestArchiveLeavesAttachedManifestsOut(t *testing.T) {
	a := withBill(t)
	if _, err := (Archive{Path: t.TempDir() + "/box.tar"}).Publish(t.Context(), []Artifact{a}); err != nil {
		t.Error(err)
	}
}
