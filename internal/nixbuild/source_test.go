package nixbuild

import (
	"reflect"
	"strings"
	"testing"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

func TestSourceRequest(t *testing.T) {
	for _, tt := range []struct {
		src  Source
		want sourceRequest
		name string
	}{
		{Source{Channel: "nixos-unstable"}, sourceRequest{Kind: "tarball", URL: "https://nixos.org/channels/nixos-unstable/nixexprs.tar.xz"}, "channel nixos-unstable"},
		{Source{Channel: "nixos-25.11", ChannelBase: "http://127.0.0.1:1/"}, sourceRequest{Kind: "tarball", URL: "http://127.0.0.1:1/nixos-25.11/nixexprs.tar.xz"}, "channel nixos-25.11"},
		{Source{Channel: commit}, sourceRequest{Kind: "tarball", URL: "https://github.com/NixOS/nixpkgs/archive/" + commit + ".tar.gz"}, "nixpkgs commit " + commit},
		{Source{Git: &Git{URL: "git@host:pkgs.git", Ref: "main", Rev: commit}}, sourceRequest{Kind: "git", URL: "git@host:pkgs.git", Ref: "main", Rev: commit}, "git repository git@host:pkgs.git at " + commit},
		{Source{Git: &Git{URL: "https://u:p@host/x"}}, sourceRequest{Kind: "git", URL: "https://u:p@host/x"}, "git repository https://***@host/x"},
		{Source{Path: "/pkgs"}, sourceRequest{Kind: "path", Tree: &treeRequest{Path: "/pkgs"}}, "path /pkgs"},
		{Source{Flake: "git+https://token@host/x?ref=a@b"}, sourceRequest{Kind: "flake", Flake: "git+https://token@host/x?ref=a@b"}, "flake git+https://***@host/x?ref=a@b"},
	} {
		if got, err := tt.src.request(t.Context(), noProcess(t)); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%v: %+v, %v", tt.src, got, err)
		}
		if got := tt.src.String(); got != tt.name {
			t.Errorf("%+v is called %q", tt.src, got)
		}
	}
}

func TestSourceErrors(t *testing.T) {
	for want, src := range map[string]Source{
		"one of: channel, git, path, flake":       {},
		"one of: channel, git, path, flake ":      {Path: "/x", Channel: "nixos-unstable"},
		`"../evil" is not the name of a channel`:  {Channel: "../evil"},
		`"a/b" is not the name of a channel`:      {Channel: "a/b"},
		"a git source needs a url":                {Git: &Git{Ref: "main"}},
		`git revision "abc" is not 40 hex digits`: {Git: &Git{URL: "x", Rev: "abc"}},
		`path "pkgs" is not absolute`:             {Path: "pkgs"},
		`path "./overlay.nix" is not absolute`:    {Path: "/x", Overlays: []string{"./overlay.nix"}},
	} {
		_, err := src.request(t.Context(), noProcess(t))
		if err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) {
			t.Errorf("%+v: error is %v", src, err)
		}
	}
}
