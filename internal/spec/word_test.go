package spec

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParsePackages(t *testing.T) {
	got, err := ParsePackages([]string{"git", "python3Packages.requests", "git", "7zz"})
	if diff := cmp.Diff([]string{"git", "python3Packages.requests", "7zz"}, got); err != nil || diff != "" {
		t.Errorf("%v; -want +got:\n%s", err, diff)
	}
	_, err = ParsePackages([]string{"git", "a b", "-x"})
	const want = `package "a b": want a name in the package set, such as git or python3Packages.requests
package "-x": want a name in the package set, such as git or python3Packages.requests`
	if errs, ok := errors.AsType[Errors](err); !ok || len(errs) != 2 || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestParseSource(t *testing.T) {
	directory, err := filepath.Abs("some/directory")
	if err != nil {
		t.Fatal(err)
	}
	for word, want := range map[string]Nixpkgs{
		"nixos-25.11": {Channel: "nixos-25.11"},
		"0123456789abcdef0123456789abcdef01234567": {Channel: "0123456789abcdef0123456789abcdef01234567"},
		".":                 {Path: directory},
		"./pkgs":            {Path: filepath.Join(directory, "pkgs")},
		"../pkgs/":          {Path: filepath.Join(filepath.Dir(directory), "pkgs")},
		"/srv/pkgs":         {Path: "/srv/pkgs"},
		"github:acme/pkgs":  {Flake: "github:acme/pkgs"},
		"path:./flake":      {Flake: "path:" + filepath.Join(directory, "flake")},
		"git+https://a.b/c": {Flake: "git+https://a.b/c"},
	} {
		got, err := ParseSource(word, "some/directory")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v; -want +got:\n%s", word, err, diff)
		}
	}
	for word, want := range map[string]string{
		"":                     `flake "": want a flake reference, such as github:owner/repo or ./directory`,
		"github:acme/pkgs#x":   `flake "github:acme/pkgs#x": want a flake, without #; what it offers goes under the key packages`,
		"https://u:hunter2@h/": "flake: a password does not belong in a spec; leave it to git's credential helper or to Nix's access-tokens",
	} {
		if _, err := ParseSource(word, "."); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", word, err, want)
		}
	}
}

// Another source keeps the configuration, unless it is a flake, for which there is none.
func TestInstead(t *testing.T) {
	spec := Nixpkgs{Pos: Position{1, 2}, Channel: "nixos-25.11", Config: map[string]any{"allowUnfree": true}, Overlays: []string{"/o"}}
	got, err := spec.Instead(Nixpkgs{Path: "/p"})
	want := Nixpkgs{Path: "/p", Config: spec.Config, Overlays: spec.Overlays}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v; -want +got:\n%s", err, diff)
	}
	if _, err := spec.Instead(Nixpkgs{Flake: "github:a/b"}); err == nil {
		t.Error("a flake is given config and overlays")
	}
	if _, err := (Nixpkgs{Path: "/x"}).Instead(Nixpkgs{Flake: "github:a/b"}); err != nil {
		t.Error(err)
	}
}

// A bare spec is what a file with nothing but packages says.
func TestBare(t *testing.T) {
	want, err := Parse("nixery.yaml", []byte("packages: [git, curl]\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	want.File, want.Images[0].Pos, want.Images[0].PackagePos = "", Position{}, nil
	if diff := cmp.Diff(want, Bare([]string{"git", "curl"}, "")); diff != "" {
		t.Errorf("-file +bare:\n%s", diff)
	}
	if name := Bare([]string{"git"}, "ghcr.io/acme/toolbox").Images[0].Name; name != "toolbox" {
		t.Errorf("it is named %q", name)
	}
}
