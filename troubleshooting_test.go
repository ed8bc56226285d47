package nixeryaction_test

import (
	"go/ast"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/org/nixery-action/test/pages"
)

const troubleshooting = "docs/troubleshooting.md"

var (
	messageHeading = regexp.MustCompile("(?m)^### `(.+)`$")
	verb           = regexp.MustCompile(`%[-+#.0-9]*[a-zA-Z]`)
	shimLiteral    = regexp.MustCompile("'([^'\n]*)'|`([^`]*)`")
	placeholder    = regexp.MustCompile(`\$\{[^}]*\}`)
)

// Every message that the page has as a heading is in one source file, but for its variable parts: so a message that is reworded takes
// its heading along.
func TestTroubleshootingHasRealMessages(t *testing.T) {
	all := spoken(t)
	headings := messageHeading.FindAllStringSubmatch(pages.Read(t, troubleshooting), -1)
	if len(headings) < 40 {
		t.Errorf("only %d messages found", len(headings))
	}
	for _, heading := range headings {
		if !said(heading[1], all) {
			t.Errorf("nothing says %q", heading[1])
		}
	}
}

func TestMessagesAreFound(t *testing.T) {
	all := map[string][]string{"a.go": {"reading %s: it is %q, not a file; ", "go away"}, "b.go": {"come in"}}
	for heading, want := range map[string]bool{
		"reading …: it is …, not a file": true, "it is \"…\", not a file": true, "not a file; … go away": true,
		"not a directory": false, "go away … come in": false, "…": false, "it is": false, "reading …: it is …": false,
	} {
		if said(heading, all) != want {
			t.Errorf("%q: want %v", heading, want)
		}
	}
}

// The page has all titles of annotations.
func TestTroubleshootingHasAllTitles(t *testing.T) {
	page, count := pages.Read(t, troubleshooting), 0
	all := spoken(t)
	for _, literal := range slices.Concat(all["internal/cli/faults_title.go"], all["internal/build/warning.go"]) {
		if !unicode.IsUpper([]rune(literal + " ")[0]) {
			continue
		}
		count++
		if !strings.Contains(page, "**"+literal) {
			t.Errorf("the page has no title %q", literal)
		}
	}
	if count < 24 {
		t.Errorf("only %d titles found", count)
	}
}

// spoken is the string literals of each source that is no test, those of the shim too.
func spoken(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, s := range readSources(t) {
		if s.test() {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				text, _ := strconv.Unquote(literal.Value)
				all[s.name] = append(all[s.name], text)
			}
			return true
		})
	}
	for file, text := range shimSources(t) {
		for _, literal := range shimLiteral.FindAllStringSubmatch(text, -1) {
			all[file] = append(all[file], placeholder.ReplaceAllString(literal[1]+literal[2], "%s"))
		}
	}
	return all
}

// shimSources is the texts of the shim that are no tests.
func shimSources(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("shim/*.js")
	if err != nil || len(files) < 5 {
		t.Fatalf("the shim is %q: %v", files, err)
	}
	texts := map[string]string{}
	for _, file := range files {
		if !strings.Contains(file, "test") {
			texts[file] = pages.Read(t, file)
		}
	}
	return texts
}

// said reports whether one file has all of a heading's fixed parts. Short ones do not count, and there must be one that
// says something.
func said(heading string, all map[string][]string) bool {
	const telling = 9 // characters
	var parts []string
	for _, part := range strings.Split(strings.ReplaceAll(heading, `"…"`, "…"), "…") {
		if part = strings.TrimSpace(part); len(part) > 3 {
			parts = append(parts, part)
		}
	}
	if !slices.ContainsFunc(parts, func(part string) bool { return len(part) >= telling }) {
		return false
	}
	for _, literals := range all {
		text := verb.ReplaceAllString(strings.Join(literals, "\x00"), "…")
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) }) {
			return true
		}
	}
	return false
}
