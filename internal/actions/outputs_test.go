package actions

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSetOutputs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "output")
	first := map[string]string{"digest": "sha256:1", "tags": "a\nb\n", "empty": ""}
	if err := SetOutputs(file, first); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(file)
	known := strings.Split(string(text), "\n")[2] // the end word of the first output
	evil := "x\n" + known + "\n_GitHubActionsFileCommandDelimeter_\ndigest<<e\nsha256:evil\ne"
	if err := SetOutputs(file, map[string]string{"metadata": evil}); err != nil {
		t.Fatal(err)
	}
	want := maps.Clone(first)
	want["metadata"] = evil
	if got := readOutputs(t, file); !maps.Equal(got, want) {
		t.Errorf("the runner reads %q, want %q", got, want)
	}
}

func TestSetOutputsFails(t *testing.T) {
	err := SetOutputs(filepath.Join(t.TempDir(), "no", "such"), nil)
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "writing the step's outputs: ") {
		t.Errorf("got %v", err)
	}
}

// readOutputs reads the file as the runner does: NAME<<WORD, lines, WORD.
func readOutputs(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	outputs := map[string]string{}
	for rest := string(text); rest != ""; {
		head, body, _ := strings.Cut(rest, "\n")
		name, word, ok := strings.Cut(head, "<<")
		value, after, closed := strings.Cut("\n"+body, "\n"+word+"\n")
		if !ok || !closed {
			t.Fatalf("no output in %q", head)
		}
		outputs[name] = strings.TrimPrefix(value, "\n")
		rest = after
	}
	return outputs
}
