package cli

import (
	"encoding/base64"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// A script runs the command as a user does: this test binary plays
// nixery-action.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"nixery-action": func() { os.Exit(Main("unknown")) }, "roots": roots})
}

var update = flag.Bool("update", false, "write what was printed into the scripts' files that it is compared with")

// commands are what scripts know beside testscript's own.
var commands = map[string]func(*testscript.TestScript, bool, []string){
	"exits":      exits,
	"interrupts": interrupts,
	"terminates": terminates,
	"special":    special,
	"silent":     silent,
	"empty":      empty,
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Cmds:                commands,
		Setup:               alone,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
	})
}

// alone leaves nothing on PATH but the command, so that no script needs, or
// finds or installs, a Nix that it does not bring along.
func alone(env *testscript.Env) error {
	env.Setenv("PATH", filepath.SplitList(env.Getenv("PATH"))[0])
	env.Setenv("INPUT_INSTALL-NIX", "never") // in a container, auto would install one
	specs, err := filepath.Abs("../../testdata/specs/bad")
	if err != nil {
		return err
	}
	env.Setenv("BAD", specs)
	// The race detector would sleep for a second at the end of each program.
	env.Setenv("GORACE", "atexit_sleep_ms=0")
	env.Setenv("NIXERY_NIX_ENV", "WORK") // for scripts that play Nix
	return nil
}

// exits runs a program that must end with an exit code, and show no secret:
//
//	exits CODE PROGRAM [ARG…]
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got, err := exitCode(ts.Exec(args[1], args[2:]...))
	ts.Check(err)
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	noSecrets(ts)
}

func exitCode(err error) (int, error) {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// secret is part of every secret that scripts plant.
const secret = "hunter2"

// noSecrets fails if one was printed, other than to tell the runner of it.
func noSecrets(ts *testscript.TestScript) {
	forms := []string{secret, base64.StdEncoding.EncodeToString([]byte("u:" + secret))}
	for _, stream := range []string{"stdout", "stderr"} {
		for line := range strings.Lines(ts.ReadFile(stream)) {
			for _, form := range forms {
				if strings.Contains(line, form) && !strings.HasPrefix(line, "::add-mask::") {
					ts.Fatalf("a secret is on %s: %s", stream, line)
				}
			}
		}
	}
}
