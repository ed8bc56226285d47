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
)

// pushed is an index of two images in a registry, and its tag.
func pushed(t *testing.T, reg *fakeRegistry) (name.Tag, v1.ImageIndex) {
	t.Helper()
	index := indexOf(imageOf(t, "amd64", newLayer(t, 1, 5_000).known(t)), imageOf(t, "arm64", newLayer(t, 2, 5_000).known(t)))
	tag := reg.tag(t, "acme/box:latest")
	if err := remote.WriteIndex(tag, index); err != nil {
		t.Fatal(err)
	}
	reg.mu.Lock()
	defer reg.mu.Unlock()
	reg.requests = nil
	return tag, index
}

func TestPullReadsNoLayer(t *testing.T) {
	reg := newRegistry(t, &fault{method: "GET", path: "/manifests/latest", nth: 1, answer: status(http.StatusInternalServerError)})
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
		before := len(reg.matching("GET "))
		config, err := child.Image.ConfigFile()
		if err != nil || config.Architecture != d.Platform.Architecture {
			t.Errorf("got %v, %v, want the image for %s", config, err, d.Platform)
		}
		if after := len(reg.matching("GET ")); after != before {
			t.Error("the configuration was not there yet")
		}
	}
	if blobs := reg.matching("GET ", "/blobs/"); len(blobs) != 2 {
		t.Errorf("%q were read, want two configurations", blobs)
	}
}

func TestPullSaysWhatIsWrong(t *testing.T) {
	for title, c := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		kind   Kind
		want   string
	}{
		"no such tag":   {status(http.StatusNotFound), NotFound, "check the repository's name, and the tag"},
		"may not":       {status(http.StatusForbidden), Forbidden, "credentials were looked for"},
		"broken":        {status(http.StatusBadGateway), Unavailable, "even after trying again"},
		"other content": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") }, Other, "does not match"},
	} {
		reg := newRegistry(t, &fault{method: "GET", path: "/manifests/", nth: 1, forever: true, answer: c.answer})
		tag, index := pushed(t, reg)
		digest, _ := index.Digest()
		r, _ := hasty(RegistryOptions{})
		_, err := r.Pull(t.Context(), tag.Digest(digest.String()))
		fault, ok := errors.AsType[*RegistryError](err)
		if !ok || fault.Kind != c.kind || !strings.Contains(err.Error(), c.want) ||
			!strings.HasPrefix(err.Error(), "reading an image from "+reg.host()+"/acme/box: ") {
			t.Errorf("%s: got %v, want %q", title, err, c.want)
		}
	}
}

func TestPullCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	reg := newRegistry(t, &fault{method: "GET", path: "/manifests/", nth: 1, forever: true, answer: func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		w.WriteHeader(http.StatusInternalServerError)
	}})
	tag, _ := pushed(t, reg)
	if _, err := NewRegistry(RegistryOptions{}).Pull(ctx, tag); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
