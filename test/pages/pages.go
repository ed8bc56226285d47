// Package pages reads the texts of the project for people, and the workflows in
// them, for tests. Paths are those of the root of the checkout, where the tests run.
package pages

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

const OurAction = "org/nixery-action@v1"

// Workflow is what the tests read of one; the runner reads more.
type Workflow struct {
	Where string
	Text  string
	Jobs  map[string]struct{ Steps []step }
}

type step struct {
	ID   string
	Uses string
	With map[string]any
}

// given is what the step hands to its action, as the runner or an editor sees it: absent is empty.
func (s step) Given() any {
	if s.With == nil {
		return map[string]any{}
	}
	return s.With
}

// All returns the names of the project's texts for people.
func All(t *testing.T) []string {
	t.Helper()
	docs, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	return append(docs, "README.md", "CONTRIBUTING.md", "SECURITY.md")
}

var YamlBlocks = regexp.MustCompile("(?ms)^```yaml\\n(.*?)^```")

// Workflows returns those in the pages and in examples/.
func Workflows(t *testing.T) (all []Workflow) {
	t.Helper()
	add := func(where, text string) {
		// Forgejo wants actions by their URLs; act knows only names.
		text = strings.ReplaceAll(text, "uses: https://github.com/", "uses: ")
		w := Workflow{Where: where, Text: text}
		if err := yaml.Unmarshal([]byte(text), &w); err != nil {
			t.Errorf("%s: %v", where, err)
		}
		if w.Jobs != nil {
			all = append(all, w)
		}
	}
	for _, page := range All(t) {
		for _, block := range YamlBlocks.FindAllStringSubmatch(Read(t, page), -1) {
			add(page, block[1])
		}
	}
	examples, err := filepath.Glob("examples/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, example := range examples {
		add(example, Read(t, example))
	}
	if len(all) < 3 {
		t.Fatalf("only %d workflows found", len(all))
	}
	return all
}

func Read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
