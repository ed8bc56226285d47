//go:build e2e

package nixeryaction_test

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"gopkg.in/yaml.v3"
)

const movingPage = "docs/moving.md"

// nixBlock is a file of Nix; its first line is its name.
var nixBlock = regexp.MustCompile("(?ms)^```nix\\n# ([\\w./-]+)\\n(.*?)^```")

// moved is what the page says of an image, beyond what all of them have.
type moved struct {
	config v1.Config         // without what all images have
	links  map[string]string // files of the root layer, and the end of what they link to; "" if there must be none
}

// Each spec of the page makes the image that the page says it makes, for each architecture.
func TestMovedImages(t *testing.T) {
	images := map[string]moved{
		"toolbox": {
			config: v1.Config{Cmd: []string{"bash"}},
			links:  map[string]string{"bin/git": "/bin/git", "bin/sh": "/bin/sh", "usr/bin/env": "/bin/env"},
		},
		"site": {
			config: v1.Config{
				Cmd: []string{"caddy", "file-server", "--listen", ":8080", "--root", "/srv"}, Env: []string{"GREETING=hello"},
				User: "1000:1000", ExposedPorts: map[string]struct{}{"8080/tcp": {}},
			},
			links: map[string]string{"srv/index.html": "-site/srv/index.html", "bin/caddy": "/bin/caddy", "bin/sh": "", "usr/bin/env": ""},
		},
		"hello": {
			config: v1.Config{Entrypoint: []string{"/bin/hello"}, Env: []string{"LANG=C.UTF-8"}, User: "1000:1000"},
			links:  map[string]string{"bin/hello": "/bin/hello", "bin/dockerTools.binSh": "/bin/dockerTools.binSh"},
		},
		"app": {
			config: v1.Config{Entrypoint: []string{"/bin/app"}},
			links:  map[string]string{"bin/app": "/bin/app"},
		},
	}
	for _, block := range yamlBlock.FindAllStringSubmatch(read(t, movingPage), -1) {
		name, published := buildMoved(t, block[1])
		want, known := images[name]
		if !known || len(published) == 0 {
			t.Errorf("the page has an image %q for %d platforms, of which this test knows nothing", name, len(published))
		}
		delete(images, name)
		for _, img := range published {
			t.Run(name, func(t *testing.T) { checkMoved(t, img, want) })
		}
	}
	for name := range images {
		t.Errorf("the page has no image %q", name)
	}
}

// buildMoved builds a spec with stand-ins for its packages, and returns its name and an image for each platform.
func buildMoved(t *testing.T, text string) (string, []v1.Image) {
	t.Helper()
	var spec struct {
		Nixpkgs    map[string]any
		Repository string
		Packages   []string
		Rest       map[string]any `yaml:",inline"`
	}
	if err := yaml.Unmarshal([]byte(text), &spec); err != nil {
		t.Fatal(err)
	}
	path := "acme/" + filepath.Base(spec.Repository)
	spec.Repository = startRegistry(t) + "/" + path
	maps.DeleteFunc(spec.Nixpkgs, func(key string, _ any) bool { return key != "overlays" })
	spec.Nixpkgs["path"] = "./set"
	file, err := yaml.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"nixery.yaml": string(file), "set/default.nix": standIns(t, spec.Packages), "site/index.html": "welcome\n"}
	for _, block := range nixBlock.FindAllStringSubmatch(read(t, movingPage), -1) {
		files[block[1]] = block[2]
	}
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "build", "--push")
	cmd.Dir = checkout(t, "", files)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, file, out)
	}
	return filepath.Base(path), imagesOf(t, spec.Repository+":latest")
}

// standIns is a package set that has all of some names: those of the tiny set, a script each for the others, and
// of nixpkgs' functions the one that the page's overlay calls.
func standIns(t *testing.T, names []string) string {
	t.Helper()
	var set strings.Builder
	set.WriteString(`{ system ? builtins.currentSystem, overlays ? [ ] }:
let
  runCommand = name: env: text: derivation {
    inherit name system;
    builder = "/bin/sh";
    args = [ "-euc" text ];
    PATH = "/usr/bin:/bin";
  };
  standIn = name: runCommand name { } "mkdir -p $out/bin; echo ${name} >$out/bin/${name}; chmod +x $out/bin/${name}";
  names = {
    inherit runCommand;
`)
	for _, name := range names {
		fmt.Fprintf(&set, "    %s = standIn %q;\n", name, name)
	}
	fmt.Fprintf(&set, `  };
  set = names // import %s { inherit system; };
  final = builtins.foldl' (prev: overlay: prev // overlay final prev) set overlays;
in
final
`, tinySet(t))
	return set.String()
}

// imagesOf pulls a reference: one image, or those of an index.
func imagesOf(t *testing.T, reference string) (all []v1.Image) {
	t.Helper()
	descriptor, err := remote.Get(mustReference(t, reference))
	if err != nil {
		t.Fatal(err)
	}
	if descriptor.MediaType.IsImage() {
		img, err := descriptor.Image()
		if err != nil {
			t.Fatal(err)
		}
		return []v1.Image{img}
	}
	index, err := descriptor.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range manifest.Manifests {
		img, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, img)
	}
	return all
}

func checkMoved(t *testing.T, img v1.Image, want moved) {
	t.Helper()
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	want.config.Env = append([]string{"PATH=/bin:/sbin:/usr/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-bundle.crt"}, want.config.Env...)
	if diff := cmp.Diff(want.config, file.Config); diff != "" {
		t.Errorf("the configuration (-page +image):\n%s", diff)
	}
	entries := rootEntries(t, img)
	want.links["etc/ssl/certs/ca-bundle.crt"] = "/etc/ssl/certs/ca-bundle.crt"
	for _, name := range slices.Sorted(maps.Keys(want.links)) {
		entry, found := entries[name]
		if end := want.links[name]; found != (end != "") || !strings.HasSuffix(entry.Linkname, end) {
			t.Errorf("/%s links to %q (there: %t), want …%q", name, entry.Linkname, found, end)
		}
	}
	for name, mode := range map[string]int64{"tmp/": 0o1777, "etc/passwd": 0o444, "etc/group": 0o444, "etc/nsswitch.conf": 0o444} {
		if entry := entries[name]; entry.Mode != mode || entry.Uid != 0 || entry.ModTime.Unix() != 1 {
			t.Errorf("/%s has mode %o, owner %d, time %d", name, entry.Mode, entry.Uid, entry.ModTime.Unix())
		}
	}
}

// rootEntries is what the topmost layer of an image has.
func rootEntries(t *testing.T, img v1.Image) map[string]tar.Header {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[len(layers)-1].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	entries := map[string]tar.Header{}
	for archive := tar.NewReader(content); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		entries[header.Name] = *header
	}
}
