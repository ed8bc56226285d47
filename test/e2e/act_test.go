//go:build e2e

package e2e_test

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

	"github.com/org/nixery-action/test/pages"
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
	writeFiles(t, dir, files)
	git(t, dir, "init", "-q", "-b", "main")
	git(t, dir, "add", ".")
	commit(t, dir, "a spec and a workflow")
	return dir
}

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
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

// actionDirectory is what a user's runner gets of the project. The binary is not in it: it is built once, as NIXERY_ACTION_BINARY,
// since the shim would build it without cgo, and all that it imports a second time.
func actionDirectory(t *testing.T) string {
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

// lingering is a program that runs another, and stays for a moment if that fails: act closes the terminal of a step that failed without
// reading what is still in it (HostEnvironment.exec in https://github.com/nektos/act, v0.2.89), and nothing tells when it has.
func lingering(t *testing.T, program string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "nixery-action")
	script := fmt.Sprintf("#!/bin/bash\n'%s' \"$@\" || { code=$?; /bin/sleep 0.3; exit $code; }\n", program)
	if err := os.WriteFile(file, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

// stub is an action in the place of one that needs the network: those of testdata/actions do what workflows go on with, and any
// other takes any input and does nothing.
func stub(t *testing.T, uses string) string {
	t.Helper()
	dir := t.TempDir()
	switch name, _, _ := strings.Cut(uses, "@"); name {
	case "docker/login-action":
		dir = "testdata/actions/login"
	case "docker/metadata-action":
		dir = "testdata/actions/metadata"
	default:
		const text = "name: stub\nruns: {using: composite, steps: [{run: 'true', shell: bash}]}\n"
		writeFiles(t, dir, map[string]string{"action.yml": text})
	}
	path, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// event is what a workflow waits for, as far as there are such workflows.
func event(w pages.Workflow) string {
	for _, other := range []string{"pull_request", "workflow_dispatch"} {
		if strings.Contains(w.Text, "on: "+other) {
			return other
		}
	}
	return "push"
}

// act plays a workflow as GitHub's runner would, on this machine. Other actions than ours are stubs; checkout is act's own.
// caching are the flags for act's cache server.
func act(t *testing.T, w pages.Workflow, dir string, caching ...string) acted {
	t.Helper()
	program, err := exec.Command("testdata/scripts/act").Output()
	if err != nil {
		t.Fatal(err)
	}
	built, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{event(w), "-P", "ubuntu-latest=-self-hosted", "--json", "-W", ".github/workflows/image.yml",
		"--local-repository", pages.OurAction + "=" + actionDirectory(t),
		"--var", "REGISTRY_USER=" + user, "--secret", "REGISTRY_PASSWORD=" + password, "--secret", "GITHUB_TOKEN=any"}
	args = append(args, caching...)
	for _, job := range w.Jobs {
		for _, s := range job.Steps {
			if s.Uses != "" && s.Uses != pages.OurAction && !strings.HasPrefix(s.Uses, "actions/checkout@") {
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
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home, "DOCKER_CONFIG="+home, "NIXERY_ACTION_BINARY="+lingering(t, built))
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

// output is one of the last step that has it, which is ours: the stubs' steps come before.
func (a acted) output(name string) string {
	for _, line := range slices.Backward(a.lines) {
		if line.Command == "set-output" && line.Name == name {
			return line.Arg
		}
	}
	return ""
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

// With the cache that a runner offers, which every step uses unless told otherwise, the second run makes and sends nothing. The
// workflows in pages are enough to see it.
func TestSecondRunUnderActIsWarm(t *testing.T) {
	for _, w := range pages.Workflows(t) {
		if strings.Contains(w.Text, "push: true") && strings.HasSuffix(w.Where, ".md") {
			t.Run(w.Where, func(t *testing.T) { runTwice(t, w) })
		}
	}
}

func runTwice(t *testing.T, w pages.Workflow) {
	repository := startRegistry(t) + "/acme/toolbox"
	spec := fmt.Sprintf("nixpkgs: {path: %s}\nrepository: %s\npackages: [hello, app]\narchitectures: [amd64, arm64]\n", tinySet(t), repository)
	kept := t.TempDir()
	var digests []string
	for i, want := range []string{"publishing: 16 layers uploaded", "0 layers uploaded, 0 B; 16 were there"} {
		dir := checkout(t, w.Text, map[string]string{"nixery.yaml": spec}) // as on a fresh runner
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

// references are what each example publishes; every other workflow publishes the spec that is there for it.
func (p places) references(where string) []string {
	switch where {
	case "examples/ghcr.yml":
		return []string{p.open + "/acme/toolbox:1.2.3", p.open + "/acme/toolbox:main"}
	case "examples/release.yml":
		return []string{p.open + "/acme/toolbox:main"} // act's branch
	case "examples/publish.yml":
		return []string{p.private + "/acme/toolbox:latest"}
	case "examples/registries.yml":
		return []string{p.open + "/acme/toolbox:1.2.3", p.open + "/acme/toolbox:main", p.private + "/acme/toolbox:1.2.3", p.private + "/acme/toolbox:main"}
	case "examples/several.yml":
		return []string{p.open + "/acme/server-debug:latest", p.open + "/acme/server:latest"}
	case "examples/local.yml", "examples/check.yml":
		return []string{""} // a name in a file is in no registry
	}
	return []string{p.open + "/acme/toolbox:latest"}
}

// Every workflow in the pages and examples runs, with the specs that lie beside it, on stand-ins for nixpkgs, registries and
// other actions.
func TestDocumentedWorkflowsRun(t *testing.T) {
	for _, w := range pages.Workflows(t) {
		t.Run(w.Where, func(t *testing.T) {
			p := newPlaces(t)
			w.Text = p.standIn(w.Text)
			run := act(t, w, checkout(t, w.Text, p.exampleFiles(t)), noCaching)
			if run.failed {
				t.Fatal(run.text)
			}
			tags := strings.Split(run.output("tags"), "\n")
			slices.Sort(tags)
			want := p.references(w.Where)
			slices.Sort(want)
			if diff := cmp.Diff(want, tags); diff != "" {
				t.Errorf("references, -want +got:\n%s", diff)
			}
			digests := checkOutputs(t, run)
			if !strings.Contains(w.Text, "push: true") {
				return
			}
			for _, reference := range tags {
				digest, platforms := p.pull(t, reference)
				if digest.String() != digests[reference] || platforms != 2 {
					t.Errorf("%s has digest %s and %d platforms; the outputs say %s", reference, digest, platforms, digests[reference])
				}
			}
		})
	}
}

// image is one of the output json.
type image struct {
	Name      string
	Digest    string
	Tags      []string
	Platforms []struct{ Platform, Digest string }
}

// checkOutputs holds the outputs against each other, and returns the digest of each reference.
func checkOutputs(t *testing.T, run acted) map[string]string {
	t.Helper()
	var made struct{ Images []image }
	if err := json.Unmarshal([]byte(run.output("json")), &made); err != nil || len(made.Images) == 0 {
		t.Fatalf("%v\n%s", err, run.text)
	}
	digests := map[string]string{}
	for _, image := range made.Images {
		for _, reference := range image.Tags {
			digests[reference] = image.Digest
		}
		if len(image.Platforms) == 0 {
			t.Errorf("%s has no platform", image.Name)
		}
		if want := fmt.Sprintf(`"containerimage.digest":%q`, image.Digest); !strings.Contains(run.output("metadata"), want) {
			t.Errorf("metadata is %s, without %s", run.output("metadata"), want)
		}
	}
	if len(made.Images) == 1 {
		checkSingle(t, run, made.Images[0])
	} else if run.output("digest") != "" {
		t.Errorf("several images have one digest: %s", run.output("digest"))
	}
	return digests
}

func checkSingle(t *testing.T, run acted, only image) {
	t.Helper()
	if got := run.output("digest"); got != only.Digest {
		t.Errorf("digest is %q, in the report %q", got, only.Digest)
	}
	want := map[string]string{}
	for _, p := range only.Platforms {
		want[p.Platform] = p.Digest
	}
	var digests map[string]string
	if err := json.Unmarshal([]byte(run.output("digests")), &digests); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, digests); diff != "" {
		t.Errorf("digests, -report +output:\n%s", diff)
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
	w := pages.Workflows(t)[0]
	spec := fmt.Sprintf("nixpkgs: {path: %s}\nrepository: %s/acme/toolbox\npackages:\n  - hello\n  - ap\n", tinySet(t), address)
	run := act(t, w, checkout(t, w.Text, map[string]string{"nixery.yaml": spec}), noCaching)
	if !run.failed || run.output("digest") != "" || !strings.Contains(run.text, "exit status 2") {
		t.Errorf("the run did not fail with 2:\n%s", run.text)
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
