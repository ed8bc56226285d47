package nixbuild

import (
	"slices"
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	for _, tt := range []struct {
		names, want string
		shell       bool
	}{
		{"git", "git", false},
		{"htop git git", "git htop", false},
		{"shell git", "bashInteractive coreutils git moreutils nano", true},
		{"builder", "bashInteractive coreutils moreutils nano stdenv", true},
		{"nano shell builder", "bashInteractive coreutils moreutils nano stdenv", true},
		{"shells", "shells", false},
	} {
		got, shell := Expand(strings.Fields(tt.names))
		if !slices.Equal(got, strings.Fields(tt.want)) || shell != tt.shell {
			t.Errorf("Expand(%q) = %q, %v", tt.names, got, shell)
		}
	}
}
