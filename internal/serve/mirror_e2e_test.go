//go:build e2e

package serve

import (
	"errors"
	"strings"
	"testing"

	"github.com/org/nixery-action/internal/nixbuild"
)

// A mirror has the commits of branches and tags, whatever the tags name, and asks for no other.
func TestMirrorOfOddTags(t *testing.T) {
	for _, odd := range []string{"", "HEAD^{tree}", "HEAD:file"} {
		repository := t.TempDir()
		git := func(args ...string) string {
			out, err := nixbuild.Exec{Dir: repository}.Run(t.Context(), append([]string{"git", "-c", "user.name=a", "-c", "user.email=a@example.org"}, args...)...)
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimSpace(string(out))
		}
		git("init", "-q", "-b", "main")
		git("config", "uploadpack.allowFilter", "true")
		git("config", "uploadpack.allowAnySHA1InWant", "true")
		git("config", "alias.file", "!echo x >file")
		git("file")
		git("add", "file")
		git("commit", "-q", "-m", "one")
		ours := git("rev-parse", "HEAD")
		git("commit", "-q", "--allow-empty", "-m", "of a pull request")
		foreign := git("rev-parse", "HEAD")
		git("update-ref", "refs/pull/1/head", foreign)
		git("reset", "-q", "--hard", ours)
		git("tag", "-a", "-m", "x", "annotated")
		if odd != "" {
			git("tag", "odd", odd)
			git("tag", "-a", "-m", "x", "odd-annotated", odd)
		}
		m := newMirror("file://"+repository, t.TempDir())
		if ref, err := m.reaches(t.Context(), nixbuild.Exec{}, ours); err != nil || ref == "" {
			t.Errorf("%q: on %q, error is %v", odd, ref, err)
		}
		for _, other := range []string{foreign, git("rev-parse", "annotated"), git("rev-parse", "HEAD^{tree}")} {
			if ref, err := m.reaches(t.Context(), nixbuild.Exec{}, other); !errors.As(err, new(*unreachedError)) {
				t.Errorf("%q: %s is on %q, error is %v", odd, other, ref, err)
			}
		}
	}
}
