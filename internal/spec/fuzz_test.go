package spec

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/org/nixery-action/internal/bounded/boundedtest"
)

// FuzzParse checks Parse's promise: a valid Spec, or errors that each have a
// place in the file and one line of text, but for the example of a spec.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"/*.yaml", "/bad/*.yaml"} {
		files, err := filepath.Glob(specs + pattern)
		if err != nil || len(files) == 0 {
			f.Fatal(pattern, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte("---"))
	f.Add([]byte("packages: [git]\rtags: [\xb9]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s *Spec
		var err error
		boundedtest.Within(t, uint64(4<<20+4096*len(data)), func() { s, err = Parse("nixery.yaml", data, workflow) })
		if err == nil {
			checkSpec(t, s)
			return
		}
		errs, ok := errors.AsType[Errors](err)
		if !ok || len(errs) == 0 || s != nil {
			t.Fatalf("Parse = %v, %#v", s, err)
		}
		lines := splitLines(data)
		for i, e := range errs {
			checkPlace(t, e, lines)
			if i > 0 && (e.Line < errs[i-1].Line || e.Line == errs[i-1].Line && e.Column < errs[i-1].Column) {
				t.Errorf("%v comes before %v", errs[i-1], e)
			}
		}
	})
}

func checkPlace(t *testing.T, e Error, lines []string) {
	t.Helper()
	if e.Line < 1 || e.Line > len(lines) || e.Column < 1 {
		t.Fatalf("%v has no place in a file of %d lines", e, len(lines))
	}
	// One more than the line's characters is the place after its last one.
	if most := len([]rune(lines[e.Line-1])) + 1; e.Column > most {
		t.Errorf("%v has no place in a line of %d characters", e, most-1)
	}
	if strings.Contains(strings.TrimSuffix(e.Message, shortest), "\n") && !strings.HasSuffix(e.Message, shortest) {
		t.Errorf("%q has more than one line", e.Message)
	}
}

func checkSpec(t *testing.T, s *Spec) {
	t.Helper()
	if len(s.Images) == 0 {
		t.Error("a spec without images")
	}
	for _, img := range s.Images {
		if img.Name == "" || len(img.Packages) == 0 || len(img.Packages) != len(img.PackagePos) || len(img.Tags) == 0 ||
			len(img.Architectures) == 0 || img.Layers.Budget == 0 || img.Layers.Level == 0 || img.Format == "" {
			t.Errorf("%+v lacks something", img)
		}
	}
}
