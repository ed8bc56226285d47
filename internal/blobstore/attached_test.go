package blobstore

import (
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"

	"github.com/org/nixery-action/internal/publish"
)

func TestAttachedManifestsAreStored(t *testing.T) {
	d := sites["memory"](t).open()
	image := imageOf(t, "amd64", &lazyLayer{content: "layer"})
	document := &lazyLayer{content: "bill"}
	document.known.Store(true)
	var attached v1.Hash
	a := publish.Artifact{Name: "box", Image: image, Attach: func() ([]v1.Image, error) {
		subject, err := partial.Descriptor(image)
		if err != nil {
			return nil, err
		}
		bill := mutate.Subject(imageOf(t, "amd64", document), *subject).(v1.Image)
		attached, err = bill.Digest()
		return []v1.Image{bill}, err
	}}
	if _, err := d.Destination(DestinationOptions{}).Publish(t.Context(), []publish.Artifact{a}); err != nil {
		t.Fatal(err)
	}
	if n := pullAll(t, d, attached); n != 3 {
		t.Errorf("%d blobs were pulled, want 3", n)
	}
}
