//go:build e2e

package attack

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// hunter is a package that asks for secrets while it is evaluated and built, and packs what it finds: the environment of its
// builder, and that of all processes of the machine, with their command lines. There is no sandbox.
const hunter = `{ system ? "x86_64-linux" }: let
  hunt = name: end: derivation {
    inherit name system; salt = "%s"; PATH = "/usr/bin:/bin"; builder = "/bin/sh";
    evaluated = map builtins.getEnv [ %s ];
    args = [ "-c" ''
      mkdir $out
      env >$out/env
      for process in /proc/[0-9]*; do
        tr '\0' '\n' <$process/environ
        tr '\0' ' ' <$process/cmdline
      done >$out/processes 2>/dev/null
      ${end}
    '' ];
  };
in {
  found = hunt "found" "echo %[3]s >$out/found";
  fails = hunt "fails" "cat $out/env $out/processes; exit 1";
}
`

// The same set as a flake: evaluation is pure then, and the builder is not.
const hunterFlake = `{ outputs = { self }: { packages.x86_64-linux = import ./set.nix { }; }; }
`

// huntWorkflow gives a step all secrets that a step of GitHub may have: as inputs, in the runner's variables, and in its own.
const huntWorkflow = `
on: push
jobs:
  image:
    runs-on: ubuntu-latest
    env:
      GITHUB_TOKEN: ${{ secrets.GITHUB_TOKEN }}
      AWS_SECRET_ACCESS_KEY: ${{ secrets.AWS_SECRET_ACCESS_KEY }}
      AWS_SESSION_TOKEN: ${{ secrets.AWS_SESSION_TOKEN }}
      DEPLOY_KEY: ${{ secrets.DEPLOY_KEY }}
    steps:
      - uses: actions/checkout@v5
      - uses: org/nixery-action@v1
        with: {file: path.yaml, push: true, tags: "REGISTRY/acme/path:v1", github-token: "${{ secrets.INPUT }}"}
      - uses: org/nixery-action@v1
        with: {file: flake.yaml, push: true, tags: "REGISTRY/acme/flake:v1", github-token: "${{ secrets.INPUT }}"}
      - uses: org/nixery-action@v1
        with: {file: fails.yaml, push: true, tags: "REGISTRY/acme/fails:v1", github-token: "${{ secrets.INPUT }}"}
`

// Whatever a package tries while it is evaluated and built, no secret of the step is in what it could pack.
func TestPackagesFindNoSecretUnderAct(t *testing.T) {
	u, r := newUser(t), startRegistry(t)
	planted := map[string]string{ // by the name that it has in the step
		"GITHUB_TOKEN": "ghs-" + salt(), "AWS_SECRET_ACCESS_KEY": "aws-" + salt(), "AWS_SESSION_TOKEN": "session-" + salt(),
		"DEPLOY_KEY": "deploy-" + salt(), "INPUT": "input-" + salt(),
		"ACTIONS_RUNTIME_TOKEN": "runtime-" + salt(), "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "id-" + salt(),
	}
	var secrets, variables strings.Builder
	for name, value := range planted {
		if strings.HasPrefix(name, "ACTIONS_") {
			fmt.Fprintf(&variables, "%s=%s\n", name, value)
		} else {
			fmt.Fprintf(&secrets, "%s=%s\n", name, value)
		}
	}
	names := append(slices.Sorted(maps.Keys(planted)), "INPUT_GITHUB-TOKEN")
	mark := "mark-" + salt()
	dir := u.repository(t, map[string]string{
		"path.yaml":  "nixpkgs: {path: set.nix}\npackages: [found]\narchitectures: [amd64]\n",
		"flake.yaml": "nixpkgs: {flake: .}\npackages: [found]\narchitectures: [amd64]\n",
		"fails.yaml": "nixpkgs: {path: set.nix}\npackages: [fails]\narchitectures: [amd64]\n",
		"set.nix":    fmt.Sprintf(hunter, salt(), `"`+strings.Join(names, `" "`)+`"`, mark), "flake.nix": hunterFlake,
		".github/workflows/image.yml": strings.ReplaceAll(huntWorkflow, "REGISTRY", r.address),
	})
	// Not on act's command line, nor in its environment, where the package would find what the step never had.
	write(t, u.home, map[string]string{"secrets": secrets.String(), "variables": variables.String()})
	kept := t.TempDir()
	run := u.act(t, dir, "--secret-file", filepath.Join(u.home, "secrets"), "--env-file", filepath.Join(u.home, "variables"),
		"--cache-server-addr", "127.0.0.1", "--cache-server-path", kept)
	if run.code == 0 {
		t.Errorf("a package that fails was built:\n%s", run.log)
	}
	if got := r.repositories(t); !slices.Equal(got, []string{"acme/flake", "acme/path"}) {
		t.Fatalf("the repositories are %q:\n%s", got, run.log)
	}
	if len(holding(t, r.dir, mark)) == 0 {
		t.Error("what the package packed is not in the registry")
	}
	nowhere(t, planted, r.dir, kept)
	unsaid(t, planted, "the log", run.log)
	unsaid(t, planted, "the summary", run.pages)
	for name, value := range run.outputs {
		unsaid(t, planted, "the output "+name, value)
	}
}

// On a command line the same holds for what the shell happens to have.
func TestPackagesFindNoSecretOfTheShell(t *testing.T) {
	u, r := newUser(t), startRegistry(t)
	planted := map[string]string{"AWS_SECRET_ACCESS_KEY": "aws-" + salt(), "GITHUB_TOKEN": "ghp-" + salt(), "DATABASE_URL": "postgres-" + salt()}
	for name, value := range planted {
		u.env = append(u.env, name+"="+value)
	}
	mark := "mark-" + salt()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"nixery.yaml": "nixpkgs: {path: set.nix}\npackages: [found]\narchitectures: [amd64]\n",
		"set.nix":     fmt.Sprintf(hunter, salt(), `"`+strings.Join(slices.Sorted(maps.Keys(planted)), `" "`)+`"`, mark),
	})
	run := u.build(t, dir, "--tag", r.address+"/acme/found:v1", "--push").wants(t, 0)
	if len(holding(t, r.dir, mark)) == 0 {
		t.Error("what the package packed is not in the registry")
	}
	nowhere(t, planted, r.dir)
	unsaid(t, planted, "the log", run.said)
}
