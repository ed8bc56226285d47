package image

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/stream"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
)

const lib = nix.StorePath("/nix/store/00000000000000000000000000000000-lib-1")

var packages = []Package{{Name: "python3Packages.lib", Path: lib}}

var store = fstest.MapFS{string(lib[1:]) + "/lib/x": {Data: []byte("x"), Mode: 0o444}}

func twoLayers(t *testing.T, format Format) []*layers.Layer {
	t.Helper()
	packer, err := layers.NewPacker(store, layers.DefaultCompression, format == OCI)
	if err != nil {
		t.Fatal(err)
	}
	closure := nix.Closure{Paths: []nix.PathInfo{{Path: lib, NarSize: 112}}}
	return []*layers.Layer{packer.Layer(closure.Paths, nil), packer.Root([]nix.StorePath{lib}, closure, nil)}
}

func assemble(t *testing.T, all []*layers.Layer, arch string, format Format) v1.Image {
	t.Helper()
	platform, err := nix.ParsePlatform(arch)
	if err != nil {
		t.Fatal(err)
	}
	config := Defaults(true, true)
	SetEnv(&config, map[string]string{"Z": "26", "A": "1", "PATH": "/elsewhere"})
	img, err := Assemble(all, Options{Platform: platform, Config: config, Created: Epoch, Format: format, Packages: packages})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func measure(t *testing.T, all []*layers.Layer) {
	t.Helper()
	for _, l := range all {
		if err := l.Measure(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBytes holds the digests of an image and an index. If it fails, every
// published digest changes: see layers.FormatVersion.
func TestBytes(t *testing.T) {
	for format, want := range map[Format][2]string{
		Docker: {goldenImage, goldenIndex},
		OCI:    {goldenOCIImage, goldenOCIIndex},
	} {
		all := twoLayers(t, format)
		img := assemble(t, all, "arm64", format)
		idx, err := Index(map[string]v1.Image{"linux/arm64": img, "linux/amd64": assemble(t, all, "amd64", format)}, format, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := idx.Digest(); !errors.Is(err, stream.ErrNotComputed) {
			t.Errorf("%s: an index over unread layers has a digest: %v", format, err)
		}
		measure(t, all)
		digest, err := img.Digest()
		if err != nil || digest.Hex != want[0] {
			t.Errorf("%s: image %s, want %s (%v)", format, digest, want[0], err)
		}
		if digest, err = idx.Digest(); err != nil || digest.Hex != want[1] {
			t.Errorf("%s: index %s, want %s (%v)", format, digest, want[1], err)
		}
		if err := validate.Index(idx); err != nil {
			t.Errorf("%s: %v", format, err)
		}
	}
}

func TestMediaTypes(t *testing.T) {
	for format, want := range map[Format][]types.MediaType{
		Docker: {types.DockerManifestList, types.DockerManifestSchema2, types.DockerConfigJSON, types.DockerLayer},
		OCI:    {types.OCIImageIndex, types.OCIManifestSchema1, types.OCIConfigJSON, types.OCILayer},
	} {
		all := twoLayers(t, format)
		measure(t, all)
		img := assemble(t, all, "amd64", format)
		idx, err := Index(map[string]v1.Image{"linux/amd64": img}, format, nil)
		if err != nil {
			t.Fatal(err)
		}
		list, _ := idx.MediaType()
		manifest, err := img.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		got := []types.MediaType{list, manifest.MediaType, manifest.Config.MediaType, manifest.Layers[0].MediaType}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
	}
}

func TestConfigFile(t *testing.T) {
	all := twoLayers(t, Docker)
	img := assemble(t, all, "arm64", Docker)
	measure(t, all)
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Architecture != "arm64" || config.Variant != "v8" || config.OS != "linux" || !config.Created.Equal(Epoch) {
		t.Errorf("got %+v", config)
	}
	if diff := cmp.Diff([]string{"PATH=/elsewhere", "SSL_CERT_FILE=/etc/ssl/certs/ca-bundle.crt", "A=1", "Z=26"}, config.Config.Env); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	var comments []string
	for _, h := range config.History {
		comments = append(comments, h.Comment)
	}
	if diff := cmp.Diff([]string{string(lib) + " 112", "root layer: links to packages\npackage python3Packages.lib " + string(lib)}, comments); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	if len(config.RootFS.DiffIDs) != 2 {
		t.Errorf("diff IDs %v", config.RootFS.DiffIDs)
	}
	raw, _ := img.RawConfigFile()
	if bytes.Contains(raw, []byte(`"container":"`)) || bytes.Contains(raw, []byte("2026")) {
		t.Errorf("something of this machine is in %s", raw)
	}
}

func TestIndexNamesPlatforms(t *testing.T) {
	all := twoLayers(t, Docker)
	measure(t, all)
	idx, err := Index(map[string]v1.Image{
		"linux/arm64": assemble(t, all, "arm64", Docker), "linux/amd64": assemble(t, all, "amd64", Docker),
	}, Docker, nil)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := idx.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range manifest.Manifests {
		got = append(got, m.Platform.String())
	}
	if raw, err := idx.RawManifest(); err != nil || bytes.Contains(raw, []byte("artifactType")) {
		t.Errorf("%s (%v)", raw, err)
	}
	if diff := cmp.Diff([]string{"linux/amd64", "linux/arm64/v8"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestParsePlatform(t *testing.T) {
	for in, system := range map[string]string{
		"linux/amd64": "x86_64-linux", "amd64": "x86_64-linux",
		"linux/arm64": "aarch64-linux", "linux/arm64/v8": "aarch64-linux", "arm64": "aarch64-linux",
	} {
		p, err := nix.ParsePlatform(in)
		if err != nil || nix.System(p) != system {
			t.Errorf("%s: %s, %v", in, nix.System(p), err)
		}
	}
	for _, in := range []string{"", "linux", "windows/amd64", "linux/arm64/v7", "linux/riscv64", "x86_64-linux"} {
		if _, err := nix.ParsePlatform(in); err == nil || !strings.Contains(err.Error(), "linux/amd64, linux/arm64") {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestDefaultsWithoutShellOrRoots(t *testing.T) {
	if diff := cmp.Diff(v1.Config{Env: []string{"PATH=/bin:/sbin:/usr/bin"}}, Defaults(false, false)); diff != "" {
		t.Error(diff)
	}
}
