package nixeryaction_test

import (
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"github.com/org/nixery-action/test/pages"
)

// action is what we offer to workflows: inputs by their schema, outputs by action.yml.
type action struct {
	with    *jsonschema.Schema
	Outputs map[string]yaml.Node
}

func readAction(t *testing.T) (a action) {
	t.Helper()
	err := yaml.Unmarshal([]byte(pages.Read(t, "action.yml")), &a)
	if err != nil || len(a.Outputs) == 0 {
		t.Fatalf("action.yml has no outputs: %v", err)
	}
	if a.with, err = jsonschema.NewCompiler().Compile("schema/action.schema.json"); err != nil {
		t.Fatal(err)
	}
	return a
}

// Workflows in the pages and examples use inputs and outputs that there are, with values that they may have.
func TestWorkflows(t *testing.T) {
	a := readAction(t)
	for _, w := range pages.Workflows(t) {
		problems := a.check(w)
		for _, problem := range problems {
			t.Errorf("%s: %s", w.Where, problem)
		}
	}
}

func TestWorkflowsAreChecked(t *testing.T) {
	w := pages.Workflow{Text: "${{ steps.a.outputs.digset }} ${{ steps.b.outputs.any }} ${{ fromJSON(steps.a.outputs.digests).x }}"}
	if err := yaml.Unmarshal([]byte("jobs: {j: {steps: [{id: a, uses: "+pages.OurAction+", with: {pusch: true, push: true}}, {id: b, uses: other@v1, with: {x: y}}]}}"), &w); err != nil {
		t.Fatal(err)
	}
	problems := readAction(t).check(w)
	if len(problems) != 2 || !strings.Contains(problems[0], "'pusch' not allowed") || problems[1] != `there is no output "digset"` {
		t.Errorf("got %q", problems)
	}
	if problems := readAction(t).check(pages.Workflow{}); len(problems) != 1 {
		t.Errorf("a workflow without our action: %q", problems)
	}
}

// The schema of inputs judges values as the action does.
func TestActionSchema(t *testing.T) {
	with := readAction(t).with
	for text, good := range map[string]bool{
		`{}`:                           true,
		`{push: true}`:                 true,
		`{push: "false"}`:              true,
		`{push: "${{ inputs.push }}"}`: true,
		`{push: yes please}`:           false,
		`{push: 1}`:                    false,
		`{install-nix: never}`:         true,
		`{install-nix: always}`:        false,
		`{file: nixery.yaml}`:          true,
		`{file: "a\nb"}`:               false,
		`{tags: "a:1\na:2"}`:           true,
		`{tags: [a, b]}`:               false,
		`{cache-from: type=gha}`:       true,
		`{cache_from: type=gha}`:       false,
	} {
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		if err := with.Validate(value); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}

var stepOutput = regexp.MustCompile(`steps\.([\w-]+)\.outputs\.([\w-]+)`)

func (a action) check(w pages.Workflow) (problems []string) {
	ours := map[string]bool{}
	for _, job := range w.Jobs {
		for _, s := range job.Steps {
			if s.Uses != pages.OurAction {
				continue
			}
			ours[s.ID] = true
			if err := a.with.Validate(s.Given()); err != nil {
				problems = append(problems, err.Error())
			}
		}
	}
	if len(ours) == 0 {
		problems = append(problems, "no step uses "+pages.OurAction)
	}
	for _, match := range stepOutput.FindAllStringSubmatch(w.Text, -1) {
		if _, known := a.Outputs[match[2]]; ours[match[1]] && !known {
			problems = append(problems, fmt.Sprintf("there is no output %q", match[2]))
		}
	}
	return problems
}

var (
	command = regexp.MustCompile(`nixery-action (build|plan|cache)\b[^\n|` + "`" + `]*`)
	flag    = regexp.MustCompile(`--([a-z][a-z-]*)`)
)

// Command lines in the pages have flags that the command defines, by its source.
func TestFlagsInPages(t *testing.T) {
	count := 0
	for _, page := range pages.All(t) {
		for _, line := range command.FindAllStringSubmatch(pages.Read(t, page), -1) {
			source := sourceOf(t, line[1])
			for _, name := range flag.FindAllStringSubmatch(line[0], -1) {
				count++
				if !strings.Contains(source, `, "`+name[1]+`", `) {
					t.Errorf("%s: nixery-action %s has no flag --%s", page, line[1], name[1])
				}
			}
		}
	}
	if count < 5 {
		t.Errorf("only %d flags found", count)
	}
}

// sourceOf is the text of the files of a command: its own and those of the commands below it.
func sourceOf(t *testing.T, command string) string {
	t.Helper()
	files, err := filepath.Glob("internal/cli/" + command + "*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no source of %s: %v", command, err)
	}
	var text strings.Builder
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			text.WriteString(pages.Read(t, file))
		}
	}
	return text.String()
}

var link = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)

// Links from page to page lead somewhere.
func TestLinks(t *testing.T) {
	for _, page := range pages.All(t) {
		for _, match := range link.FindAllStringSubmatch(pages.Read(t, page), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), match[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

var pathInPage = regexp.MustCompile("`((?:cmd|docs|examples|internal|schema|shim|test|testdata)/[^`*…<]*)`")

// Files and directories that pages name are there.
func TestPathsInPages(t *testing.T) {
	count := 0
	for _, page := range pages.All(t) {
		for _, match := range pathInPage.FindAllStringSubmatch(pages.Read(t, page), -1) {
			count++
			if _, err := os.Stat(match[1]); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
	if count < 10 {
		t.Errorf("only %d paths found", count)
	}
}

var testName = regexp.MustCompile("`((?:Test|Fuzz|Example|Benchmark)[A-Z][A-Za-z0-9]*)[/`]")

// Tests that pages name are there.
func TestTestsInPages(t *testing.T) {
	defined := map[string]bool{}
	for _, s := range readSources(t) {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && s.test() {
				defined[f.Name.Name] = true
			}
		}
	}
	count := 0
	for _, page := range pages.All(t) {
		for _, match := range testName.FindAllStringSubmatch(pages.Read(t, page), -1) {
			count++
			if !defined[match[1]] {
				t.Errorf("%s: there is no %s", page, match[1])
			}
		}
	}
	if count < 10 {
		t.Errorf("only %d tests found", count)
	}
}

// threat is a row of the table of threats: attacker, attempt, measure, tests.
var threat = regexp.MustCompile(`(?m)^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$`)

// Each threat that SECURITY.md lists names a test that proves its measure. TestTestsInPages sees that the test exists.
func TestThreatsHaveTests(t *testing.T) {
	for page, want := range map[string]int{
		"| attacker | attempt | measure | tests |\n|---|---|---|---|\n| a | b | c | d |\n":          1,
		"| attacker | attempt | measure | tests |\n|---|---|---|---|\n| a | b | c | `TestThis` |\n": 0,
	} {
		if _, unproved := threats(page); len(unproved) != want {
			t.Errorf("%q: %q have no test, want %d", page, unproved, want)
		}
	}
	count, unproved := threats(pages.Read(t, "SECURITY.md"))
	if count < 10 || len(unproved) > 0 {
		t.Errorf("of %d threats, these have no test: %q", count, unproved)
	}
}

// threats counts the rows, and returns those without a test.
func threats(page string) (count int, unproved []string) {
	for _, row := range threat.FindAllStringSubmatch(page, -1) {
		if row[1] == "attacker" {
			continue
		}
		count++
		if !testName.MatchString(row[4]) {
			unproved = append(unproved, row[1]+": "+row[2])
		}
	}
	return count, unproved
}
