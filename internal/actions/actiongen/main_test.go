package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/org/nixery-action/internal/actions"
)

const root = "../../.."

// TestFresh fails when the table has changed since `go generate ./internal/actions` was last run.
func TestFresh(t *testing.T) {
	files, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s is stale; run go generate ./internal/actions (-table +file):\n%s", name, diff)
		}
	}
}

// What the runner reads in action.yml is what stands in the table, whatever YAML has for a meaning of its characters.
func TestActionReadsAsTheTable(t *testing.T) {
	type row struct{ Description, Default string }
	var got struct{ Inputs, Outputs map[string]row }
	if err := yaml.Unmarshal([]byte(actionText()), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]row{}
	for _, input := range actions.InputTable() {
		want[input.Name] = row{input.Description, input.Default}
	}
	if diff := cmp.Diff(want, got.Inputs); diff != "" {
		t.Errorf("inputs, -table +action.yml:\n%s", diff)
	}
	clear(want)
	for _, output := range actions.OutputTable() {
		want[output.Name] = row{output.Description, ""}
	}
	if diff := cmp.Diff(want, got.Outputs); diff != "" {
		t.Errorf("outputs, -table +action.yml:\n%s", diff)
	}
}

func TestWrapped(t *testing.T) {
	long := strings.Repeat("word ", 60)
	text := wrapped(long, "  ")
	for line := range strings.Lines(text) {
		if len(line) > width+1 || !strings.HasPrefix(line, "  word") {
			t.Errorf("got the line %q", line)
		}
	}
	if got := strings.Join(strings.Fields(text), " "); got != strings.TrimSpace(long) {
		t.Errorf("words were lost: %q", got)
	}
}

func TestReadmeWithoutPlaceForTables(t *testing.T) {
	for _, page := range []string{"", "<!-- begin: inputs -->\n", "<!-- begin: inputs -->\n<!-- end -->\n"} {
		if _, err := updated(page); err == nil {
			t.Errorf("%q is a page with tables", page)
		}
	}
}
