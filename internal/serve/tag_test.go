package serve

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/org/nixery-action/internal/spec"
)

var someCommit = strings.Repeat("0123456789", 4)

func TestTagSource(t *testing.T) {
	git := func(ref, rev string) spec.Nixpkgs {
		return spec.Nixpkgs{Git: &spec.Git{URL: "https://x/y", Ref: ref, Rev: rev}}
	}
	for title, c := range map[string]struct {
		source spec.Nixpkgs
		tag    string
		want   spec.Nixpkgs
		fixed  bool
	}{
		"channel":                {spec.Nixpkgs{Channel: "nixos-25.11"}, "latest", spec.Nixpkgs{Channel: "nixos-25.11"}, false},
		"channel at a commit":    {spec.Nixpkgs{Channel: "nixos-25.11"}, someCommit, spec.Nixpkgs{Channel: someCommit}, true},
		"channel that is pinned": {spec.Nixpkgs{Channel: someCommit}, "latest", spec.Nixpkgs{Channel: someCommit}, true},
		"git":                    {git("", ""), "latest", git("", ""), false},
		"git with a branch":      {git("main", ""), "latest", git("main", ""), false},
		"git, another branch":    {git("main", ""), "release-1.2", git("release-1.2", ""), false},
		"git, from a commit":     {git("main", someCommit), "dev", git("dev", ""), false},
		"git at a commit":        {git("main", ""), someCommit, git("main", someCommit), true},
		"git that is pinned":     {git("main", someCommit), "latest", git("main", someCommit), true},
		"path":                   {spec.Nixpkgs{Path: "/p"}, "latest", spec.Nixpkgs{Path: "/p"}, false},
		"flake":                  {spec.Nixpkgs{Flake: "x:y"}, "latest", spec.Nixpkgs{Flake: "x:y"}, false},
	} {
		got, fixed, err := (&Server{options: Options{Source: c.source, Commits: true}}).tagSource(c.tag)
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" || fixed != c.fixed {
			t.Errorf("%s: fixed %v, %v (-want +got):\n%s", title, fixed, err, diff)
		}
	}
}

func TestTagSourceRefuses(t *testing.T) {
	channel, git := spec.Nixpkgs{Channel: "nixos-25.11"}, spec.Nixpkgs{Git: &spec.Git{URL: "https://x/y"}}
	for _, c := range []struct {
		source spec.Nixpkgs
		tag    string
	}{
		{channel, "nixos-24.05"}, {channel, strings.ToUpper("abcdef" + someCommit[6:])}, {channel, someCommit + "0"},
		{spec.Nixpkgs{Path: "/p"}, someCommit}, {spec.Nixpkgs{Flake: "x:y"}, "main"},
		{git, "a..b"}, {git, "a.lock"}, {git, "a."}, {git, ""}, {git, "-option"}, {git, ".INVALID_MANIFEST_NAME"}, {git, "a/b"}, {git, "a*"},
		{git, "a\n"}, {git, strings.Repeat("a", 129)}, {git, "ä"}, {git, "a b"},
	} {
		if got, _, err := (&Server{options: Options{Source: c.source, Commits: true}}).tagSource(c.tag); err == nil {
			t.Errorf("%q is taken for %v", c.tag, got)
		}
	}
}

// Commits of nixpkgs may come from any fork of it, so they are served where the settings say so.
func TestCommitsAreOff(t *testing.T) {
	s := &Server{options: Options{Source: spec.Nixpkgs{Channel: "nixos-25.11"}}}
	if got, _, err := s.tagSource(someCommit); err == nil || strings.Contains(err.Error(), "commits") {
		t.Errorf("a commit is taken for %v (%v)", got, err)
	}
	s.options.Source.Channel = someCommit
	if _, fixed, err := s.tagSource(someCommit); err != nil || !fixed {
		t.Errorf("the settings' own commit is refused: %v", err)
	}
}
