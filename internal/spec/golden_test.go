package spec

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const specs = "../../testdata/specs"

// workflow is an environment as a workflow has it.
func workflow(name string) (string, bool) {
	value, ok := map[string]string{
		"GITHUB_SHA":        "0123456789abcdef0123456789abcdef01234567",
		"GITHUB_REF_NAME":   "feature/x",
		"GITHUB_RUN_NUMBER": "7",
		"GITHUB_TOKEN":      "hunter2",
		"HOME":              "hunter2",
	}[name]
	return value, ok
}

// Each bad spec stands beside the exact text of its errors.
func TestBadSpecs(t *testing.T) {
	files, err := filepath.Glob(specs + "/bad/*.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d bad specs found, error %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Parse(filepath.Base(file), data, workflow)
			if s != nil || err == nil {
				t.Fatalf("Parse = %v, %v; want nil and an error", s, err)
			}
			if _, ok := errors.AsType[Errors](err); !ok {
				t.Errorf("errors.As finds no Errors in %T", err)
			}
			compare(t, strings.TrimSuffix(file, ".yaml")+".txt", err.Error()+"\n")
		})
	}
}

func compare(t *testing.T, golden, got string) {
	t.Helper()
	if strings.Contains(got, "hunter2") {
		t.Errorf("a secret is in the error:\n%s", got)
	}
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("errors differ from %s (-want +got):\n%s", golden, diff)
	}
}
