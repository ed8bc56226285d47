// Package publishtest is the contract of [publish.Destination] as a test suite: every destination passes it.
package publishtest

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/registry/registrytest"
)

// Site is a place that a destination publishes to, empty at first.
type Site struct {
	Destination publish.Destination
	// Repository begins the references of tags: "localhost:5000/acme".
	Repository string
	// Names returns the references that can be found there, sorted; nil if the destination keeps no names.
	Names func(t *testing.T) []string
	// OnePlatform is a destination that refuses several with a *publish.PlatformsError.
	OnePlatform bool
}

// Run tests a destination. open returns a new site each time; sent, which may be nil, is to be called as a destination's Sent.
func Run(t *testing.T, open func(t *testing.T, sent func(int64)) Site) {
	quiet := func(int64) {}
	t.Run("unread layers are read once, and known ones give the same", func(t *testing.T) {
		unread, known := registrytest.NewLayer(t, 1, 1000), registrytest.NewLayer(t, 1, 1000).Known(t)
		first := publishTo(t, open(t, quiet), "box", unread)
		if n := unread.Opens.Load(); n != 1 {
			t.Errorf("the layer was read %d times", n)
		}
		if second := publishTo(t, open(t, quiet), "box", known); first != second {
			t.Errorf("digests are %s and %s", first, second)
		}
	})
	t.Run("publishing twice gives the same", func(t *testing.T) {
		s := open(t, quiet)
		first := publishTo(t, s, "box", registrytest.NewLayer(t, 1, 1000))
		names := s.names(t)
		if second := publishTo(t, s, "box", registrytest.NewLayer(t, 1, 1000)); first != second || !slices.Equal(names, s.names(t)) {
			t.Errorf("digests are %s and %s, names %q and %q", first, second, names, s.names(t))
		}
	})
	t.Run("several images keep their order and names", func(t *testing.T) { severalImages(t, open(t, quiet)) })
	t.Run("two platforms", func(t *testing.T) { twoPlatforms(t, open(t, quiet)) })
	t.Run("a layer that breaks leaves no name", func(t *testing.T) {
		s, broken := open(t, quiet), errors.New("the store changed")
		bad := registrytest.NewLayer(t, 2, 1000)
		whole := bad.Open
		bad.Open = func() io.Reader { return io.MultiReader(io.LimitReader(whole(), 500), failing{broken}) }
		_, err := s.Destination.Publish(t.Context(), []publish.Artifact{
			s.artifact(t, "good", registrytest.NewLayer(t, 1, 1000)), s.artifact(t, "bad", bad),
		})
		if !errors.Is(err, broken) || len(s.names(t)) != 0 {
			t.Errorf("error is %v, names are %q", err, s.names(t))
		}
	})
	t.Run("cancelled in the middle of a layer leaves no name", func(t *testing.T) {
		interrupted := errors.New("interrupted")
		ctx, cancel := context.WithCancelCause(t.Context())
		s := open(t, func(n int64) {
			if n > 0 {
				cancel(interrupted)
			}
		})
		_, err := s.Destination.Publish(ctx, []publish.Artifact{s.artifact(t, "box", registrytest.NewLayer(t, 1, 1_000_000))})
		if !errors.Is(err, interrupted) || len(s.names(t)) != 0 {
			t.Errorf("error is %v, names are %q", err, s.names(t))
		}
	})
	t.Run("neither an image nor an index, or both", func(t *testing.T) {
		s := open(t, quiet)
		both := s.artifact(t, "both", registrytest.NewLayer(t, 1, 10))
		both.Index = registrytest.IndexOf(both.Image)
		for _, a := range []publish.Artifact{{Name: "neither", Tags: both.Tags}, both} {
			if _, err := s.Destination.Publish(t.Context(), []publish.Artifact{a}); err == nil {
				t.Errorf("%s: no error", a.Name)
			}
		}
	})
	t.Run("an image with attached manifests", func(t *testing.T) {
		s := open(t, quiet)
		a := s.artifact(t, "box", registrytest.NewLayer(t, 1, 1000))
		a.Attach = func() ([]v1.Image, error) {
			if _, err := a.Image.Digest(); err != nil {
				t.Errorf("Attach is called before the subject has a digest: %v", err)
			}
			return nil, nil
		}
		if _, err := s.Destination.Publish(t.Context(), []publish.Artifact{a}); err != nil {
			t.Error(err)
		}
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func severalImages(t *testing.T, s Site) {
	shared := registrytest.NewLayer(t, 1, 1000)
	artifacts := []publish.Artifact{
		s.artifact(t, "one", shared, registrytest.NewLayer(t, 2, 1000)), s.artifact(t, "two", shared, registrytest.NewLayer(t, 3, 1000)),
	}
	if err := s.Destination.Check(t.Context(), artifacts); err != nil {
		t.Fatal(err)
	}
	digests, err := s.Destination.Publish(t.Context(), artifacts)
	if err != nil {
		t.Fatal(err)
	}
	var want []v1.Hash
	for _, a := range artifacts {
		digest, err := a.Image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, digest)
	}
	if !slices.Equal(digests, want) || shared.Opens.Load() != 1 {
		t.Errorf("digests are %v, want %v; the shared layer was read %d times", digests, want, shared.Opens.Load())
	}
	if names := []string{s.Repository + "/one:x", s.Repository + "/two:x"}; s.Names != nil && !slices.Equal(s.names(t), names) {
		t.Errorf("names are %q, want %q", s.names(t), names)
	}
}

func twoPlatforms(t *testing.T, s Site) {
	a := s.artifact(t, "box")
	a.Image, a.Index = nil, registrytest.IndexOf(
		registrytest.ImageOf(t, "amd64", registrytest.NewLayer(t, 1, 1000)), registrytest.ImageOf(t, "arm64", registrytest.NewLayer(t, 2, 1000)))
	digests, err := s.Destination.Publish(t.Context(), []publish.Artifact{a})
	if s.OnePlatform {
		if several, ok := errors.AsType[*publish.PlatformsError](err); !ok || several.Platforms != 2 {
			t.Errorf("error is %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if want, err := a.Index.Digest(); err != nil || len(digests) != 1 || digests[0] != want {
		t.Errorf("digests are %v, want %s, %v", digests, want, err)
	}
}

func (s Site) names(t *testing.T) []string {
	if s.Names == nil {
		return nil
	}
	return s.Names(t)
}

// artifact is an image with a tag x.
func (s Site) artifact(t *testing.T, repository string, layers ...v1.Layer) publish.Artifact {
	t.Helper()
	tag, err := name.NewTag(s.Repository + "/" + repository + ":x")
	if err != nil {
		t.Fatal(err)
	}
	return publish.Artifact{Name: repository, Image: registrytest.ImageOf(t, "amd64", layers...), Tags: []name.Tag{tag}}
}

func publishTo(t *testing.T, s Site, repository string, layers ...v1.Layer) v1.Hash {
	t.Helper()
	digests, err := s.Destination.Publish(t.Context(), []publish.Artifact{s.artifact(t, repository, layers...)})
	if err != nil || len(digests) != 1 {
		t.Fatalf("digests are %v, %v", digests, err)
	}
	return digests[0]
}
