//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/org/nixery-action/test/pages"
)

// faulty is a step that must fail.
type faulty struct {
	kind    string
	spec    string // ▸ is where the annotation must point; empty for no spec
	with    map[string]string
	env     map[string]string
	title   string
	message string // a part of the annotation
}

// oneImage is a spec up to its packages. TINY and REGISTRY are the package set and the registry.
const oneImage = "nixpkgs: {path: TINY}\nrepository: REGISTRY/acme/box\narchitectures: [amd64, arm64]\npackages:\n  - hello\n"

const goodSpec = oneImage + "  - app\n"

// faults are one of each kind that a step knows.
var faults = []faulty{
	{kind: "yaml", spec: oneImage + "  ▸- [app\n", title: "Spec", message: "did not find"},
	{kind: "key", spec: oneImage + "▸taggs: [v1]\n", title: "Spec", message: `did you mean "tags"?`},
	{kind: "type", spec: oneImage + "tags: [▸1.10]\n", title: "Spec", message: `put it in quotes: "1.10"`},
	{kind: "unknown", spec: oneImage + "  - ▸ap\n", title: "Unknown package", message: `package "ap" (x86_64-linux, aarch64-linux) does not exist; did you mean app?`},
	{kind: "unfree", spec: oneImage + "  - ▸unfree\n", title: "Unfree package", message: "set allowUnfree: true in the spec's nixpkgs.config"},
	{kind: "broken", spec: oneImage + "  - ▸broken\n", title: "Package is marked as broken", message: "set allowBroken: true"},
	{kind: "insecure", spec: oneImage + "  - ▸insecure\n", title: "Insecure package", message: "CVE-1999-0001"},
	{kind: "arm64", spec: oneImage + "  - ▸onlyX86\n", title: "Package is not for this architecture", message: "aarch64-linux"},
	{kind: "builder", spec: oneImage + "  - ▸fails\n", title: "Build of tiny-fails-1.0 is broken", message: "no such header: tiny.h"},
	{kind: "image", spec: goodSpec, with: map[string]string{"images": "boks"}, title: "Input images", message: "boks"},
	{kind: "platform", spec: goodSpec, with: map[string]string{"platforms": "linux/riscv64"}, title: "Input platforms", message: "linux/riscv64"},
	{kind: "tag", spec: goodSpec, with: map[string]string{"tags": "REGISTRY/acme/Box:v1"}, title: "Input tags", message: "acme/Box"},
	{kind: "no-tag", spec: goodSpec, with: map[string]string{"tags": ""}, title: "Input tags", message: "no tag"},
	{kind: "tag-alone", spec: goodSpec, with: map[string]string{"tags": "v2"}, title: "Input tags", message: "docker.io/library/v2"},
	{kind: "label", spec: goodSpec, with: map[string]string{"labels": "no value"}, title: "Input labels", message: "no value"},
	{kind: "annotation", spec: goodSpec, with: map[string]string{"annotations": "a=b"}, title: "Input annotations", message: "format: oci"},
	{kind: "output", spec: goodSpec, with: map[string]string{"outputs": "type=local,dest=out"}, title: "Input outputs", message: "is not one of registry, image, oci, docker"},
	{kind: "cache", spec: goodSpec, with: map[string]string{"cache-to": "type=s3,bucket=b"}, title: "Input cache-to", message: "s3"},
	{kind: "switch", spec: goodSpec, with: map[string]string{"push": "yes"}, title: "Input push", message: "write true or false"},
	{kind: "login", spec: strings.Replace(goodSpec, "REGISTRY", "▸CLOSED", 1), title: "Not logged in", message: "not logged in to"},
	{kind: "read-only", spec: strings.Replace(goodSpec, "REGISTRY", "▸READONLY", 1), title: "Registry refused", message: "permission denied"},
	{kind: "unreachable", spec: strings.Replace(goodSpec, "REGISTRY", "▸UNUSED", 1), title: "Registry cannot be reached", message: "connection refused"},
	{kind: "daemon", spec: goodSpec, with: map[string]string{"push": "false", "load": "true", "platforms": "linux/amd64"},
		env: map[string]string{"DOCKER_HOST": "unix:///no/such.sock"}, title: "Docker's daemon", message: "there is no such socket"},
	{kind: "verify", spec: goodSpec, with: map[string]string{"verify": "true", "no-cache": "true"}, title: "Input verify", message: "to verify is to compare"},
	{kind: "missing", title: "Spec", message: "there is no such file"},
	{kind: "nix", spec: goodSpec, with: map[string]string{"install-nix": "never"}, env: map[string]string{"PATH": "NODE"}, title: "Nix is missing", message: "Nix is not on this machine"},
}

func (f faulty) file() string { return "specs/" + f.kind + ".yaml" }

// place is what the runner must be told: file, line and column of the mark, if there is one.
func (f faulty) place() map[string]string {
	want := map[string]string{"title": f.title}
	before, _, marked := strings.Cut(f.spec, "▸")
	if marked || f.spec == "" {
		want["file"] = f.file()
	}
	if marked {
		want["line"] = fmt.Sprint(strings.Count(before, "\n") + 1)
		want["col"] = fmt.Sprint(len(before) - strings.LastIndex(before, "\n"))
	}
	return want
}

// A step that fails says why, on the line of the spec that it is about and on the page of the run, and publishes nothing.
func TestFaultsUnderAct(t *testing.T) {
	open, closed := startRegistry(t), startDocker(t, "u", "hunter2")
	fill := strings.NewReplacer("TINY", tinySet(t), "REGISTRY", open, "CLOSED", closed, "READONLY", readOnlyRegistry(t), "UNUSED", freeAddress(t), "NODE", withoutNix(t), "▸", "")
	w, files := faultyWorkflow(t, fill)
	run := act(t, w, checkout(t, w.Text, files), noCaching)
	if groups := checkGroups(t, run); groups == 0 {
		t.Error("no stage is folded")
	}
	if last := faults[len(faults)-1].kind; !run.failed || !strings.Contains(run.ofStep(last).text, "exit status 1\n") {
		t.Errorf("step %q has not failed the job with 1", last)
	}
	for _, f := range faults {
		t.Run(f.kind, func(t *testing.T) { f.check(t, run.ofStep(f.kind)) })
	}
	if got := append(catalog(t, open), catalog(t, closed, as("u", "hunter2"))...); len(got) > 0 {
		t.Errorf("%q were published", got)
	}
}

// faultyWorkflow has a step for each fault. All but the last let the job go on.
func faultyWorkflow(t *testing.T, fill *strings.Replacer) (pages.Workflow, map[string]string) {
	t.Helper()
	files := map[string]string{}
	steps := []map[string]any{{"uses": "actions/checkout@v5"}}
	for i, f := range faults {
		if f.spec != "" {
			files[f.file()] = fill.Replace(f.spec)
		}
		with := map[string]string{"file": f.file(), "push": "true"}
		for key, value := range f.with {
			with[key] = fill.Replace(value)
		}
		env := map[string]string{}
		for key, value := range f.env {
			env[key] = fill.Replace(value)
		}
		steps = append(steps, map[string]any{"id": f.kind, "uses": pages.OurAction, "with": with, "env": env, "continue-on-error": i < len(faults)-1})
	}
	text, err := yaml.Marshal(map[string]any{"on": "push", "jobs": map[string]any{"faults": map[string]any{"runs-on": "ubuntu-latest", "steps": steps}}})
	if err != nil {
		t.Fatal(err)
	}
	return parseWorkflow(t, string(text)), files
}

func parseWorkflow(t *testing.T, text string) pages.Workflow {
	t.Helper()
	w := pages.Workflow{Where: t.Name(), Text: text}
	if err := yaml.Unmarshal([]byte(text), &w); err != nil {
		t.Fatal(err)
	}
	return w
}

func (f faulty) check(t *testing.T, step acted) {
	if !step.failed {
		t.Fatalf("the step has not failed:\n%s", step.text)
	}
	errors := step.commands("error")
	if len(errors) != 1 {
		t.Fatalf("there are %d errors:\n%s", len(errors), step.text)
	}
	if diff := cmp.Diff(f.place(), errors[0].KvPairs); diff != "" {
		t.Errorf("the annotation's place, -want +got:\n%s", diff)
	}
	message := errors[0].Arg
	if !strings.Contains(message, f.message) {
		t.Errorf("the annotation is %q, without %q", message, f.message)
	}
	first, _, _ := strings.Cut(message, "\n")
	if page := step.page(t); !strings.Contains(page, strings.Join(strings.Fields(first), " ")) {
		t.Errorf("the summary lacks %q:\n%s", first, page)
	}
	if outputs := step.commands("set-output"); len(outputs) > 0 {
		t.Errorf("outputs were set: %+v", outputs)
	}
}

// withoutNix is a directory with the programs of a runner that has no Nix: the one that runs actions, and git.
func withoutNix(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"node", "git"} {
		program, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(program, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
