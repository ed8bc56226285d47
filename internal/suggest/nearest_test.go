package suggest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestTo(t *testing.T) {
	keys := []string{"packages", "architectures", "repository", "tags", "config", "layers", "format"}
	names := []string{"git", "gti", "gitui", "Git", "curl", "nodejs_22", "nodejs_20", "postgresql", "python3Packages.requests", "ünï"}
	for _, test := range []struct {
		word  string
		among []string
		n     int
		want  []string
	}{
		{"pakages", keys, 3, []string{"packages"}},
		{"Packages", keys, 3, []string{"packages"}},
		{"tag", keys, 1, []string{"tags"}},
		{"x", keys, 3, nil},
		{"", keys, 3, nil},
		{"GIT", names, 1, []string{"Git"}},
		{"gitt", names, 4, []string{"Git", "git", "gitui", "gti"}},
		{"igt", names, 4, []string{"Git", "git", "gti"}},
		{"GITHUB_SAH", []string{"GITHUB_PATH", "GITHUB_SHA"}, 1, []string{"GITHUB_SHA"}},
		{"nodejs", names, 3, []string{"nodejs_20", "nodejs_22"}},
		{"postgres", names, 3, []string{"postgresql"}},
		{"python3Packages.request", names, 3, []string{"python3Packages.requests"}},
		{"ünü", names, 3, []string{"ünï"}},
		{"git", names, 0, nil},
		{"git", names, -1, nil},
		{"git", []string{"git", "git"}, 2, []string{"git"}},
		{strings.Repeat("long", 10_000), names, 3, nil},
	} {
		got := Nearest(test.word, test.among, test.n)
		if !slices.Equal(got, test.want) {
			t.Errorf("To(%.20q, %d) = %q, want %q", test.word, test.n, got, test.want)
		}
	}
}

func TestToIgnoresOrder(t *testing.T) {
	names := []string{"abc", "abd", "abe", "ab", "abcd"}
	want := Nearest("abf", names, 3)
	slices.Reverse(names)
	if got := Nearest("abf", names, 3); !slices.Equal(got, want) {
		t.Errorf("reversed candidates give %q, want %q", got, want)
	}
}

// nixpkgs has some 100,000 names, and a misspelt one is looked up among all.
func BenchmarkTo(b *testing.B) {
	names := make([]string, 100_000)
	for i := range names {
		names[i] = fmt.Sprintf("python3Packages.name%d", i*7919)
	}
	for b.Loop() {
		Nearest("python3Packages.nane12345", names, 3)
	}
}
