//go:build e2e

package e2e_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/org/nixery-action/test/pages"
)

const releaseTag = "v1.2.3"

// Of the four only this machine's is built: that it builds the others takes minutes to see.
var released = "nixery-action-linux-" + runtime.GOARCH

// A release as CONTRIBUTING.md says it is made; release.yml makes the same bytes in another directory, and publishes them; and the
// shim of the tagged commit runs what was published.
func TestRelease(t *testing.T) {
	origin, mine, theirs := t.TempDir(), t.TempDir(), t.TempDir()
	git(t, origin, "init", "-q", "--bare", "-b", "main")
	copyCheckout(t, mine)
	git(t, mine, "init", "-q", "-b", "main")
	git(t, mine, "add", ".")
	commit(t, mine, "Everything")

	mustRun(t, mine, []string{"PROGRAMS=" + released}, "make", "release", "VERSION="+releaseTag)
	if changed := git(t, mine, "status", "--porcelain"); changed != " M shim/release.json\n" {
		t.Errorf("make release changed %q", changed)
	}
	git(t, mine, "add", "shim/release.json")
	commit(t, mine, "Release "+releaseTag)
	git(t, mine, "tag", releaseTag)
	git(t, mine, "push", "-q", origin, releaseTag)

	git(t, theirs, "clone", "-q", "--branch", releaseTag, origin, ".")
	uploads := publishRelease(t, theirs)
	if got, want := git(t, origin, "rev-parse", "v1"), git(t, mine, "rev-parse", releaseTag); got != want {
		t.Errorf("v1 is %s, want %s", got, want)
	}
	mustRun(t, uploads, nil, "sha256sum", "--check", "SHA256SUMS")
	runReleased(t, mine, uploads)
}

// copyCheckout copies this checkout as it is, without what git ignores.
func copyCheckout(t *testing.T, dir string) {
	t.Helper()
	for _, name := range strings.Split(strings.TrimSuffix(git(t, ".", "ls-files", "-coz", "--exclude-standard"), "\x00"), "\x00") {
		stat, err := os.Stat(name)
		if errors.Is(err, os.ErrNotExist) {
			continue // removed, and not yet committed
		}
		text, readErr := os.ReadFile(name)
		target := filepath.Join(dir, name)
		mkdirErr := os.MkdirAll(filepath.Dir(target), 0o755)
		if err := errors.Join(err, readErr, mkdirErr); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, text, stat.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
}

func commit(t *testing.T, dir, message string) {
	t.Helper()
	git(t, dir, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", message)
}

func mustRun(t *testing.T, dir string, env []string, name string, args ...string) {
	t.Helper()
	if out, err := program(dir, env, name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

func program(dir string, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	return cmd
}

// publishRelease runs the steps of release.yml in a clone, on a machine whose settings would make other bytes. It returns a directory
// with what they uploaded.
func publishRelease(t *testing.T, clone string) (uploads string) {
	t.Helper()
	programs, uploads := t.TempDir(), t.TempDir()
	gh := "#!/bin/sh\nset -e\necho \"$*\" >>'" + programs + "/log'\nfor file; do case $file in dist/*) cp \"$file\" '" + uploads + "';; esac; done\n"
	if err := os.WriteFile(filepath.Join(programs, "gh"), []byte(gh), 0o755); err != nil {
		t.Fatal(err)
	}
	env := []string{"VERSION=" + releaseTag, "PROGRAMS=" + released, "PATH=" + programs + ":" + os.Getenv("PATH"),
		"GOFLAGS=-tags=other -race", "GOAMD64=v3", "GOARM64=v9.0", "CGO_ENABLED=1", "GOEXPERIMENT=nosuchthing", "TZ=Asia/Tokyo"}
	for _, step := range releaseSteps(t) {
		if strings.HasPrefix(step.Run, "git diff") {
			checkOtherBytesStop(t, clone, env, step.Run)
		}
		mustRun(t, clone, env, "bash", "-eo", "pipefail", "-c", step.Run)
	}
	want := "release create v1.2.3 --verify-tag --generate-notes --title v1.2.3 dist/SHA256SUMS dist/" + released + "\n"
	if got := pages.Read(t, filepath.Join(programs, "log")); got != want {
		t.Errorf("gh was asked for %q, want %q", got, want)
	}
	return uploads
}

type runStep struct{ Run string }

func releaseSteps(t *testing.T) (steps []runStep) {
	t.Helper()
	var workflow struct {
		Jobs map[string]struct{ Steps []runStep }
	}
	if err := yaml.Unmarshal([]byte(pages.Read(t, ".github/workflows/release.yml")), &workflow); err != nil {
		t.Fatal(err)
	}
	for _, step := range workflow.Jobs["release"].Steps {
		if step.Run != "" {
			steps = append(steps, step)
		}
	}
	if len(steps) != 4 {
		t.Fatalf("there are %d steps", len(steps))
	}
	return steps
}

// checkOtherBytesStop sees the step fail that compares with the commit, were one bit of a hash another.
func checkOtherBytesStop(t *testing.T, clone string, env []string, step string) {
	t.Helper()
	file := filepath.Join(clone, "shim/release.json")
	made := pages.Read(t, file)
	other := strings.Replace(made, `"sha256": "`, `"sha256": "0`, 1)
	if err := os.WriteFile(file, []byte(other), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := program(clone, env, "bash", "-eo", "pipefail", "-c", step).Run(); err == nil {
		t.Error("programs with other hashes are published")
	}
	if err := os.WriteFile(file, []byte(made), 0o644); err != nil {
		t.Fatal(err)
	}
}

// runReleased starts the shim of a release as a runner does, with a server that has the release's files in GitHub's place.
func runReleased(t *testing.T, action, uploads string) {
	t.Helper()
	const path = "/org/nixery-action/releases/download/" + releaseTag + "/"
	server := httptest.NewServer(http.StripPrefix(path, http.FileServer(http.Dir(uploads))))
	t.Cleanup(server.Close)
	file := filepath.Join(action, "shim/release.json")
	var release struct {
		Repository, Version string
		Programs            map[string]struct{ SHA256 string }
	}
	if err := json.Unmarshal([]byte(pages.Read(t, file)), &release); err != nil {
		t.Fatal(err)
	}
	published := []byte(pages.Read(t, filepath.Join(uploads, released)))
	if got := release.Programs["linux-"+runtime.GOARCH].SHA256; got != fmt.Sprintf("%x", sha256.Sum256(published)) || release.Version != releaseTag {
		t.Errorf("release.json has %q for %s", got, release.Version)
	}
	text := strings.Replace(pages.Read(t, file), "https://github.com", server.URL, 1)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	tools := t.TempDir()
	// Without an input the program has nothing to do but to say so.
	out, err := program(t.TempDir(), []string{"RUNNER_TOOL_CACHE=" + tools, "NIXERY_ACTION_BINARY="}, "node", filepath.Join(action, "shim/main.js")).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("the released action says %v, want exit code 2\n%s", err, out)
	}
	kept, err := filepath.Glob(tools + "/nixery-action/1.2.3/*/nixery-action")
	if err != nil || len(kept) != 1 {
		t.Fatalf("the tool cache has %q: %v\n%s", kept, err, out)
	}
	if out, err := exec.Command(kept[0], "--version").Output(); err != nil || !strings.Contains(string(out), releaseTag) {
		t.Errorf("the released program's version is %q: %v", out, err)
	}
}
