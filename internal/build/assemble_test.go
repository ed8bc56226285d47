package build

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/org/nixery-action/internal/image"
	"github.com/org/nixery-action/internal/spec"
)

// An image says what it holds, so that it can be compared without its layers.
func TestHistory(t *testing.T) {
	dest := newDestination(t)
	if _, err := run(t, newBuilder(t, &fakeNix{}), dest, target("box", both[:1], "app")); err != nil {
		t.Fatal(err)
	}
	config, err := dest.published[0].Image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range config.History {
		got = append(got, h.Comment)
	}
	app, lib, cacert := string(path("app-x86_64-linux")), string(path("lib")), string(path("cacert"))
	want := []string{
		lib + " 100", cacert + " 100", app + " 100",
		"root layer: links to packages\npackage app " + app + "\npackage cacert " + cacert,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAnnotations(t *testing.T) {
	dest, o := newDestination(t), target("box", both, "app")
	o.Format = spec.OCI
	o.Annotations = Annotations{Index: map[string]string{"i": "1"}, Manifest: map[string]map[string]string{
		"": {"a": "all", "b": "all"}, "linux/arm64/v8": {"b": "arm"}, "linux/s390x": {"c": "unused"},
	}}
	if _, err := run(t, newBuilder(t, &fakeNix{}), dest, o); err != nil {
		t.Fatal(err)
	}
	index, err := dest.published[0].Index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string]string{"index": index.Annotations}
	for _, d := range index.Manifests {
		img, err := dest.published[0].Index.Image(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := img.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		got[d.Platform.String()] = manifest.Annotations
	}
	want := map[string]map[string]string{
		"index": {"i": "1"}, "linux/amd64": {"a": "all", "b": "all"}, "linux/arm64/v8": {"a": "all", "b": "arm"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Annotations without a manifest are an error before anything runs.
func TestAnnotationsWithoutAPlace(t *testing.T) {
	oci, docker := target("box", both[:1], "app"), target("box", both, "app")
	oci.Format = spec.OCI
	oci.Annotations.Index = map[string]string{"a": "1"}
	docker.Annotations.Manifest = map[string]map[string]string{"linux/amd64": {"a": "1"}}
	for want, o := range map[error]Target{ErrNoIndex: oci, image.ErrNoAnnotations: docker} {
		nix, dest := &fakeNix{}, newDestination(t)
		if _, err := run(t, newBuilder(t, nix), dest, o); !errors.Is(err, want) || len(nix.calls) > 0 || dest.checked != nil {
			t.Errorf("run: got %v after %v, want %v", err, nix.calls, want)
		}
		_, err := newBuilder(t, nix).DryRun(t.Context(), spec.Nixpkgs{Path: "/pkgs"}, []Target{o}, nil)
		if !errors.Is(err, want) || len(nix.calls) > 0 {
			t.Errorf("rehearsal: got %v after %v, want %v", err, nix.calls, want)
		}
	}
}
