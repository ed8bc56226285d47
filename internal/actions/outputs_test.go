package actions

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSetOutputs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "output")
	if err := SetOutputs(file, Outputs{Digest: "sha256:1", Tags: "a\nb\n"}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"digest": "sha256:1", "tags": "a\nb\n", "imageid": "", "digests": "", "metadata": "", "json": "", "cache-hit": ""}
	if diff := cmp.Diff(want, readOutputs(t, file)); diff != "" {
		t.Errorf("the runner reads, -want +got:\n%s", diff)
	}
	text, _ := os.ReadFile(file)
	known := strings.Split(string(text), "\n")[2] // the end word of the first output
	evil := "x\n" + known + "\n_GitHubActionsFileCommandDelimeter_\ndigest<<e\nsha256:evil\ne"
	if err := SetOutputs(file, Outputs{Digest: "sha256:2", Metadata: evil}); err != nil {
		t.Fatal(err)
	}
	want["digest"], want["tags"], want["metadata"] = "sha256:2", "", evil
	if diff := cmp.Diff(want, readOutputs(t, file)); diff != "" {
		t.Errorf("the runner reads, -want +got:\n%s", diff)
	}
}

func TestSetOutputsFails(t *testing.T) {
	err := SetOutputs(filepath.Join(t.TempDir(), "no", "such"), Outputs{})
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
