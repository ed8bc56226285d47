//go:build e2e

package attack

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// action is what workflows use.
const action = "org/nixery-action@v1"

// acted is a run of act: its log, and what steps set and show.
type acted struct {
	ran
	log     string            // as a reader of it sees it
	outputs map[string]string // of the last step that has them
	pages   string            // all summaries
}

// act plays the workflow of a repository as GitHub's runner would, by the runner's own cache if it is given flags for one. Secrets
// do not stand on act's command line, where every process sees them.
func (u *user) act(t *testing.T, dir string, args ...string) acted {
	t.Helper()
	program := u.script(t, "act")
	ours := t.TempDir()
	definition, err := os.ReadFile(filepath.Join(root, "action.yml"))
	err = errors.Join(err, os.WriteFile(filepath.Join(ours, "action.yml"), definition, 0o644),
		os.CopyFS(filepath.Join(ours, "shim"), os.DirFS(filepath.Join(root, "shim"))),
		os.MkdirAll(filepath.Join(u.home, ".config/act"), 0o755), os.WriteFile(filepath.Join(u.home, ".config/act/actrc"), nil, 0o644),
	)
	if err != nil {
		t.Fatal(err)
	}
	u.env = append(u.env, "NIXERY_ACTION_BINARY="+binary)
	flags := append([]string{"-P", "ubuntu-latest=-self-hosted", "--json", "-W", ".github/workflows/image.yml", "--local-repository", action + "=" + ours}, args...)
	if len(args) == 0 {
		flags = append(flags, "--no-cache-server")
	}
	run := acted{ran: u.run(t, dir, program, append([]string{"push"}, flags...)...), outputs: map[string]string{}}
	for text := range strings.Lines(run.stdout) {
		var line struct{ Msg, Command, Name, Arg, Content string }
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("act printed %q: %v", text, err)
		}
		if line.Command == "set-output" {
			run.outputs[line.Name] = line.Arg
		}
		if line.Command == "add-mask" { // GitHub's runner shows none of these
			continue
		}
		run.log += strings.TrimRight(line.Msg, "\n") + "\n"
		run.pages += line.Content
	}
	return run
}

// script runs a script of testdata that prints where something is. It needs the home in which Go keeps modules.
func (u *user) script(t *testing.T, name string) string {
	t.Helper()
	owner := &user{home: u.home, env: []string{"HOME=" + os.Getenv("HOME"), "GOFLAGS=" + os.Getenv("GOFLAGS"), "CGO_ENABLED=" + os.Getenv("CGO_ENABLED"),
		"GOPATH=" + os.Getenv("GOPATH"), "GOCACHE=" + os.Getenv("GOCACHE"), "GOPROXY=" + os.Getenv("GOPROXY"), "GONOSUMDB=" + os.Getenv("GONOSUMDB")}}
	return strings.TrimSpace(owner.run(t, root, filepath.Join(root, "testdata/scripts", name)).wants(t, 0).stdout)
}
