//go:build e2e

package e2e_test

import (
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"gopkg.in/yaml.v3"

	"github.com/org/nixery-action/test/pages"
)

// nixBlock is a file of Nix; its first line is its name.
var nixBlock = regexp.MustCompile("(?ms)^```nix\\n# ([\\w./-]+)\\n(.*?)^```")

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
	for _, block := range nixBlock.FindAllStringSubmatch(pages.Read(t, movingPage), -1) {
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
