//go:build e2e

package attack

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A pull request is built as what is released, but for the push, which its line of outputs says.
const outputsSpec = "nixpkgs: {path: set.nix}\npackages: [app]\narchitectures: [amd64]\n"

// set is a package set with a package whose content is a text.
func set(text string) string {
	return fmt.Sprintf(`{ system }: { app = derivation {
  name = "app"; inherit system; PATH = "/usr/bin:/bin"; builder = "/bin/sh"; args = [ "-c" "mkdir $out; echo %s >$out/app" ];
}; }
`, text)
}

// What one line of outputs says is not said for another, in whatever order they stand.
func TestOutputsAreEachTheirOwn(t *testing.T) {
	for name, in := range map[string]struct {
		lines []string
		want  map[string][]string // tags by repository
		bare  string              // a repository that got an image without a tag
	}{
		"one is pushed, one is not": {
			lines: []string{"type=image,name=REGISTRY/acme/preview:pr-1,push=true", "type=image,name=REGISTRY/acme/production:v1,push=false"},
			want:  map[string][]string{"acme/preview": {"pr-1"}},
		},
		"one says nothing of pushing": {
			lines: []string{"type=image,name=REGISTRY/acme/preview:pr-1,push=true", "type=image,name=REGISTRY/acme/production:v1"},
			want:  map[string][]string{"acme/preview": {"pr-1"}},
		},
		"type=registry pushes itself only": {
			lines: []string{"type=registry,name=REGISTRY/acme/preview:pr-1", "type=image,name=REGISTRY/acme/production:v1,push=false"},
			want:  map[string][]string{"acme/preview": {"pr-1"}},
		},
		"one without a tag": {
			lines: []string{"type=image,name=REGISTRY/acme/parts,push=true,push-by-digest=true", "type=image,name=REGISTRY/acme/whole:v1,push=true"},
			want:  map[string][]string{"acme/whole": {"v1"}}, bare: "acme/parts",
		},
		"none is pushed": {
			lines: []string{"type=image,name=REGISTRY/acme/production:v1,push=false", "type=oci,dest=image.tar"},
			want:  map[string][]string{},
		},
	} {
		for _, order := range []string{"as written", "reversed"} {
			t.Run(name+", "+order, func(t *testing.T) {
				u, r := newUser(t), startRegistry(t)
				dir := t.TempDir()
				write(t, dir, map[string]string{"nixery.yaml": outputsSpec, "set.nix": set(salt())})
				lines := slices.Clone(in.lines)
				if order == "reversed" {
					slices.Reverse(lines)
				}
				args := []string{"--metadata-file", "meta.json"}
				for _, line := range lines {
					args = append(args, "--output", strings.ReplaceAll(line, "REGISTRY", r.address))
				}
				r.hasOnly(t, u.build(t, dir, args...).wants(t, 0).said, in.want, in.bare)
			})
		}
	}
}

// hasOnly wants some tags, and no other tag or image.
func (r registry) hasOnly(t *testing.T, said string, want map[string][]string, bare string) {
	t.Helper()
	for _, repository := range r.repositories(t) {
		tags := r.tags(t, repository)
		slices.Sort(tags)
		if repository != bare && len(tags) == 0 {
			t.Errorf("an image without a tag is in %s:\n%s", repository, said)
		}
		if !slices.Equal(tags, want[repository]) {
			t.Errorf("%s has the tags %q, want %q:\n%s", repository, tags, want[repository], said)
		}
	}
	for repository, tags := range want {
		if len(tags) > 0 && !slices.Contains(r.repositories(t), repository) {
			t.Errorf("%s has no image:\n%s", repository, said)
		}
	}
	if bare != "" && !slices.Contains(r.repositories(t), bare) {
		t.Errorf("%s has no image:\n%s", bare, said)
	}
}

// The same in a workflow: of a pull request, nothing reaches production, and its outputs do not say so either.
func TestPullRequestStaysOutOfProductionUnderAct(t *testing.T) {
	u, r := newUser(t), startRegistry(t)
	const workflow = `
on: push
jobs:
  image:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
      - uses: org/nixery-action@v1
        with:
          outputs: |
            type=image,name=REGISTRY/acme/preview:pr-1,push=true
            type=image,name=REGISTRY/acme/production:v1,push=${{ github.event_name != 'push' }}
`
	dir := u.repository(t, map[string]string{
		"nixery.yaml": outputsSpec, "set.nix": set(salt()),
		".github/workflows/image.yml": strings.ReplaceAll(workflow, "REGISTRY", r.address),
	})
	run := u.act(t, dir)
	if run.code != 0 {
		t.Fatal(run.log)
	}
	r.hasOnly(t, run.log, map[string][]string{"acme/preview": {"pr-1"}}, "")
}
