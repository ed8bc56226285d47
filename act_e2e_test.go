//go:build e2e

package nixeryaction_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// acted is what a run of act left behind. Its fields are those of act --json.
type acted struct {
	failed bool
	lines  []actLine
	text   string
}

type actLine struct {
	StepID     []string
	StepResult string            // of a step that has ended
	Msg        string            // as a reader of the log sees it
	Command    string            // of the runner: set-output, error, …
	Name       string            // set-output
	Arg        string            // its value, or the annotation's text
	KvPairs    map[string]string // of an annotation
	Content    string            // summary
}

// checkout makes a git repository with a workflow and other files.
func checkout(t *testing.T, workflow string, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files[".github/workflows/image.yml"] = workflow
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	git(t, dir, "init", "-q", "-b", "main")
	git(t, dir, "add", ".")
	git(t, dir, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "a spec and a workflow")
	return dir
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// actionFolder is what a user's runner gets of the project. The binary is not in it: it is built once, as NIXERY_ACTION_BINARY,
// since the shim would build it without cgo, and all that it imports a second time.
func actionFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	definition, err := os.ReadFile("action.yml")
	if err := errors.Join(err, os.WriteFile(filepath.Join(dir, "action.yml"), definition, 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "shim"), os.DirFS("shim")); err != nil {
		t.Fatal(err)
	}
	return dir
}

var binary = sync.OnceValues(func() (string, error) {
	file, err := filepath.Abs(".work/act/nixery-action")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", file, "./cmd/action").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building the action: %w\n%s", err, out)
	}
	return file, nil
})

// login does what docker/login-action does: docker's configuration has the credentials thereafter, if the workflow has any.
const login = `name: login
inputs: {registry: {}, username: {}, password: {}}
runs:
  using: composite
  steps:
    - shell: bash
      env: {HOST: "${{ inputs.registry }}", LOGIN: "${{ inputs.username }}:${{ inputs.password }}"}
      run: test "$LOGIN" = ":" || printf '{"auths":{"%s":{"auth":"%s"}}}' "$HOST" "$(printf %s "$LOGIN" | base64 -w0)" >"$DOCKER_CONFIG/config.json"
`

// stub is an action in the place of one that needs the network. It takes any input and does nothing, but for login.
func stub(t *testing.T, uses string) string {
	t.Helper()
	dir := t.TempDir()
	text := "name: stub\nruns: {using: composite, steps: [{run: 'true', shell: bash}]}\n"
	if strings.HasPrefix(uses, "docker/login-action@") {
		text = login
	}
	if err := os.WriteFile(filepath.Join(dir, "action.yml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// act plays a workflow as GitHub's runner would, on this machine. Other actions than ours are stubs; checkout is act's own.
// caching are the flags for act's cache server.
func act(t *testing.T, w workflow, dir string, caching ...string) acted {
	t.Helper()
	program, err := exec.Command("testdata/scripts/act").Output()
	if err != nil {
		t.Fatal(err)
	}
	built, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	event := "push"
	if strings.Contains(w.text, "on: pull_request") {
		event = "pull_request"
	}
	args := []string{event, "-P", "ubuntu-latest=-self-hosted", "--json", "-W", ".github/workflows/image.yml",
		"--local-repository", ourAction + "=" + actionFolder(t)}
	args = append(args, caching...)
	for _, job := range w.Jobs {
		for _, s := range job.Steps {
			if s.Uses != "" && s.Uses != ourAction && !strings.HasPrefix(s.Uses, "actions/checkout@") {
				args = append(args, "--local-repository", s.Uses+"="+stub(t, s.Uses))
			}
		}
	}
	home := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(home, "act"), 0o755), os.WriteFile(filepath.Join(home, "act/actrc"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(strings.TrimSpace(string(program)), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home, "DOCKER_CONFIG="+home, "NIXERY_ACTION_BINARY="+built)
	return runAct(t, cmd)
}

func runAct(t *testing.T, cmd *exec.Cmd) acted {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	run := acted{failed: err != nil, text: string(out) + stderr.String()}
	for _, text := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		var line actLine
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("act printed %q: %v", text, err)
		}
		run.lines = append(run.lines, line)
	}
	return run
}

func (a acted) output(name string) string {
	i := slices.IndexFunc(a.lines, func(l actLine) bool { return l.Command == "set-output" && l.Name == name })
	if i < 0 {
		return ""
	}
	return a.lines[i].Arg
}

func startRegistry(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func tinySet(t *testing.T) string {
	t.Helper()
	set, err := filepath.Abs("testdata/tiny")
	if err != nil {
		t.Fatal(err)
	}
	return set
}

const noCaching = "--no-cache-server"

// With the cache that a runner offers, which every step uses unless told otherwise, the second run makes and sends nothing.
func TestSecondRunUnderActIsWarm(t *testing.T) {
	for _, w := range workflows(t) {
		if strings.Contains(w.text, "push: true") {
			t.Run(w.where, func(t *testing.T) { runTwice(t, w) })
		}
	}
}

func runTwice(t *testing.T, w workflow) {
	repository := startRegistry(t) + "/acme/toolbox"
	spec := fmt.Sprintf("nixpkgs: {path: %s}\nrepository: %s\npackages: [hello, app]\narchitectures: [amd64, arm64]\n", tinySet(t), repository)
	kept := t.TempDir()
	var digests []string
	for i, want := range []string{"publishing: 16 layers uploaded", "0 layers uploaded, 0 B; 16 were there"} {
		dir := checkout(t, w.text, map[string]string{"nixery.yaml": spec, "toolbox.yaml": spec}) // as on a fresh runner
		run := act(t, w, dir, "--cache-server-addr", "127.0.0.1", "--cache-server-path", kept, "--env", "ACTIONS_RUNTIME_TOKEN=any")
		if run.failed || !strings.Contains(run.text, want) {
			t.Fatalf("run %d does not say %q:\n%s", i+1, want, run.text)
		}
		if groups := checkGroups(t, run); i == 0 && groups == 0 {
			t.Errorf("no stage is folded:\n%s", run.text)
		}
		digests = append(digests, run.output("digest"))
	}
	if digests[0] != digests[1] || digests[0] == "" {
		t.Errorf("the digests are %q", digests)
	}
}

// Every workflow in the pages and examples runs, on a spec of the tiny package set and a registry on loopback.
func TestDocumentedWorkflowsRun(t *testing.T) {
	for _, w := range workflows(t) {
		t.Run(w.where, func(t *testing.T) {
			repository := startRegistry(t) + "/acme/toolbox"
			spec := fmt.Sprintf("nixpkgs: {path: %s}\nrepository: %s\npackages: [hello, app]\narchitectures: [amd64, arm64]\n", tinySet(t), repository)
			run := act(t, w, checkout(t, w.text, map[string]string{"nixery.yaml": spec, "toolbox.yaml": spec}), noCaching)
			if run.failed {
				t.Fatal(run.text)
			}
			checkOutputs(t, run, repository)
			if strings.Contains(w.text, "push: true") {
				checkPublished(t, run, repository+":latest")
			}
		})
	}
}

func checkOutputs(t *testing.T, run acted, repository string) {
	t.Helper()
	var made struct {
		Images []struct {
			Digest    string
			Platforms []struct{ Platform, Digest string }
		}
	}
	var digests map[string]string
	err := errors.Join(json.Unmarshal([]byte(run.output("json")), &made), json.Unmarshal([]byte(run.output("digests")), &digests))
	if err != nil || len(made.Images) != 1 {
		t.Fatalf("%v\n%s", err, run.text)
	}
	image := made.Images[0]
	if got := run.output("digest"); got != image.Digest || run.output("imageid") != got {
		t.Errorf("digest is %q, imageid %q, in the report %q", got, run.output("imageid"), image.Digest)
	}
	if got, want := run.output("tags"), repository+":latest"; got != want {
		t.Errorf("tags are %q, want %q", got, want)
	}
	if want := fmt.Sprintf(`"containerimage.digest":%q,"image.name":%q`, image.Digest, repository+":latest"); !strings.Contains(run.output("metadata"), want) {
		t.Errorf("metadata is %s, without %s", run.output("metadata"), want)
	}
	want := map[string]string{}
	for _, p := range image.Platforms {
		want[p.Platform] = p.Digest
	}
	if diff := cmp.Diff(want, digests); diff != "" || digests["linux/amd64"] == "" || digests["linux/arm64/v8"] == "" {
		t.Errorf("digests are %v; -report +digests:\n%s", digests, diff)
	}
}

// checkPublished pulls everything under a reference.
func checkPublished(t *testing.T, run acted, reference string) {
	t.Helper()
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(ref)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := index.Digest()
	if err != nil || digest.String() != run.output("digest") {
		t.Errorf("%s is %s, the step's output %s: %v", reference, digest, run.output("digest"), err)
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 2 {
		t.Errorf("%d platforms were published: %v", len(manifest.Manifests), err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
}

// checkGroups counts the log's groups: they do not nest, none stays open, and what must be seen is in none.
func checkGroups(t *testing.T, run acted) (groups int) {
	t.Helper()
	open := 0
	for _, line := range run.lines {
		switch line.Command {
		case "group":
			groups++
			open++
		case "endgroup":
			open--
		case "error", "warning":
			if open != 0 {
				t.Errorf("%q is folded", line.Arg)
			}
		}
		if open < 0 || open > 1 {
			t.Errorf("%d groups are open at %q", open, line.Arg)
		}
	}
	if open != 0 {
		t.Errorf("%d groups stay open:\n%s", open, run.text)
	}
	return groups
}

// What is wrong with a spec is told at its place in the checkout, and nothing is published.
func TestFailingWorkflowAnnotates(t *testing.T) {
	address := startRegistry(t)
	w := workflows(t)[0]
	spec := fmt.Sprintf("nixpkgs: {path: %s}\nrepository: %s/acme/toolbox\npackages:\n  - hello\n  - ap\n", tinySet(t), address)
	run := act(t, w, checkout(t, w.text, map[string]string{"nixery.yaml": spec, "toolbox.yaml": spec}), noCaching)
	if !run.failed || run.output("digest") != "" {
		t.Errorf("the run did not fail:\n%s", run.text)
	}
	i := slices.IndexFunc(run.lines, func(l actLine) bool { return l.Command == "error" })
	if i < 0 {
		t.Fatalf("there is no annotation:\n%s", run.text)
	}
	checkGroups(t, run)
	annotation := run.lines[i]
	if diff := cmp.Diff(map[string]string{"file": "nixery.yaml", "line": "5", "col": "5", "title": "Unknown package"}, annotation.KvPairs); diff != "" {
		t.Errorf("the annotation's place, -want +got:\n%s", diff)
	}
	if want := `package "ap" (x86_64-linux) does not exist; did you mean app?`; annotation.Arg != want {
		t.Errorf("the annotation is %q, want %q", annotation.Arg, want)
	}
	ref, err := name.NewRepository(address + "/acme/toolbox")
	if err != nil {
		t.Fatal(err)
	}
	if tags, err := remote.List(ref); err == nil {
		t.Errorf("tags were published: %q", tags)
	}
}
