package cli

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// docs/cli.md is what the commands say of themselves.
func TestReferenceIsCurrent(t *testing.T) {
	const file = "../../docs/cli.md"
	got := reference(newRoot(&console{}))
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/cli.md is stale; run go generate ./internal/cli (-want +got):\n%s", diff)
	}
}

// Each shell's script names the program, and is one that the shell, if it is installed,
// can parse; what the scripts ask the program for has commands and flags.
func TestCompletions(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		stdout, _, err := executed(t.Context(), "completion", shell)
		if err != nil || !strings.Contains(stdout, "__complete") {
			t.Errorf("%s: %v\n%.200s", shell, err, stdout)
		}
		if path, err := exec.LookPath(shell); err == nil {
			cmd := exec.Command(path, "-n")
			cmd.Stdin = bytes.NewReader([]byte(stdout))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", shell, err, out)
			}
		}
	}
	for typed, want := range map[string]string{"bui": "build\t", "build --pla": "--platform\t", "cache l": "list\t"} {
		stdout, _, err := executed(t.Context(), append([]string{"__complete"}, strings.Fields(typed)...)...)
		if err != nil || !strings.Contains(stdout, want) {
			t.Errorf("%s: %v\n%s", typed, err, stdout)
		}
	}
}
