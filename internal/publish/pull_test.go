package publish

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/org/nixery-action/internal/registry"
	"github.com/org/nixery-action/internal/registry/registrytest"
)

// pushed is an index of two images in a registry, and its tag.
func pushed(t *testing.T, reg *registrytest.Registry) (name.Tag, v1.ImageIndex) {
	t.Helper()
	index := registrytest.IndexOf(registrytest.ImageOf(t, "amd64", registrytest.NewLayer(t, 1, 5_000).Known(t)), registrytest.ImageOf(t, "arm64", registrytest.NewLayer(t, 2, 5_000).Known(t)))
	tag := reg.Tag(t, "acme/box:latest")
	if err := remote.WriteIndex(tag, index); err != nil {
		t.Fatal(err)
	}
	reg.Mu.Lock()
	defer reg.Mu.Unlock()
	reg.Requests = nil
	return tag, index
}

func TestPullReadsNoLayer(t *testing.T) {
	reg := registrytest.NewRegistry(t, &registrytest.Fault{Method: "GET", Path: "/manifests/latest", Nth: 1, Answer: registrytest.Status(http.StatusInternalServerError)})
	tag, index := pushed(t, reg)
	r, _ := hasty(RegistryOptions{})
	box, err := r.Pull(t.Context(), tag)
	if err != nil || box.Index == nil || box.Image != nil {
		t.Fatalf("got %v, %v", box, err)
	}
	manifest, _ := index.IndexManifest()
	for _, d := range manifest.Manifests {
		child, err := r.Pull(t.Context(), tag.Digest(d.Digest.String()))
		if err != nil || child.Image == nil {
			t.Fatalf("got %v, %v", child, err)
		}
		before := len(reg.Matching("GET "))
		config, err := child.Image.ConfigFile()
		if err != nil || config.Architecture != d.Platform.Architecture {
			t.Errorf("got %v, %v, want the image for %s", config, err, d.Platform)
		}
		if after := len(reg.Matching("GET ")); after != before {
			t.Error("the configuration was not there yet")
		}
	}
	if blobs := reg.Matching("GET ", "/blobs/"); len(blobs) != 2 {
		t.Errorf("%q were read, want two configurations", blobs)
	}
}

func TestPullSaysWhatIsWrong(t *testing.T) {
	for title, c := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		kind   registry.Kind
		want   string
	}{
		"no such tag":   {registrytest.Status(http.StatusNotFound), registry.NotFound, "check the repository's name, and the tag"},
		"may not":       {registrytest.Status(http.StatusForbidden), registry.Forbidden, "credentials were looked for"},
		"broken":        {registrytest.Status(http.StatusBadGateway), registry.Unavailable, "even after trying again"},
		"other content": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") }, registry.Other, "does not match"},
	} {
		reg := registrytest.NewRegistry(t, &registrytest.Fault{Method: "GET", Path: "/manifests/", Nth: 1, Forever: true, Answer: c.answer})
		tag, index := pushed(t, reg)
		digest, _ := index.Digest()
		r, _ := hasty(RegistryOptions{})
		_, err := r.Pull(t.Context(), tag.Digest(digest.String()))
		fault, ok := errors.AsType[*registry.Error](err)
		if !ok || fault.Kind != c.kind || !strings.Contains(err.Error(), c.want) ||
			!strings.HasPrefix(err.Error(), "reading an image from "+reg.Host()+"/acme/box: ") {
			t.Errorf("%s: got %v, want %q", title, err, c.want)
		}
	}
}

func TestPullCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	reg := registrytest.NewRegistry(t, &registrytest.Fault{Method: "GET", Path: "/manifests/", Nth: 1, Forever: true, Answer: func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		w.WriteHeader(http.StatusInternalServerError)
	}})
	tag, _ := pushed(t, reg)
	if _, err := NewRegistry(RegistryOptions{}).Pull(ctx, tag); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
