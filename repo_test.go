// Package nixeryaction_test reads this module's own sources and holds them to the rules of docs/design.md that no compiler checks:
// which package may import what, which names are not used, how long a function may be. Each rule is a function from
// sources to violations, so that the rules are tested too.
package nixeryaction_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/org/nixery-action/"

// source is one Go file of the module; its name is slash-separated and relative to the root.
type source struct {
	name string
	fset *token.FileSet
	file *ast.File
	text string
}

// test reports whether a source is for tests only: it is a test, or in a package for them, such as cachetest.
func (s source) test() bool {
	return strings.HasSuffix(s.name, "_test.go") || strings.HasPrefix(s.name, "test/") || strings.HasSuffix(s.directory(), "test")
}

func (s source) directory() string { return path.Dir(s.name) }

func (s source) at(pos token.Pos, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: ", s.name, s.fset.Position(pos).Line) + fmt.Sprintf(format, args...)
}

func parse(name, text string) (source, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	return source{name, fset, file, text}, err
}

type rule func(source) []string

var rules = map[string]rule{
	"imports":   imports,
	"env":       environment,
	"names":     names,
	"skips":     skips,
	"opens":     opens,
	"scratch":   scratches,
	"functions": functions,
	"markers":   markers,
	"platforms": platforms,
}

// Each rule finds what it is for, and nothing in a source that keeps it.
func TestRules(t *testing.T) {
	cases := map[string]struct {
		rule       rule
		name, text string
		want       int
	}{
		"exec":             {imports, "internal/publish/a.go", `package a; import "os/exec"`, 1},
		"exec in runner":   {imports, "internal/nixbuild/runner.go", `package a; import "os/exec"`, 0},
		"exec in test":     {imports, "internal/publish/a_test.go", `package a; import "os/exec"`, 0},
		"pipeline":         {imports, "internal/cache/a.go", `package a; import "` + module + `internal/build"`, 1},
		"pipeline in cmd":  {imports, "internal/cli/a.go", `package a; import "` + module + `internal/build"`, 0},
		"publish sibling":  {imports, "internal/publish/a.go", `package a; import "` + module + `internal/redact"`, 1},
		"publish file":     {imports, "internal/publish/a.go", `package a; import "` + module + `internal/plainfile"`, 0},
		"publish child":    {imports, "internal/publish/a.go", `package a; import "` + module + `internal/publish/b"`, 0},
		"env":              {environment, "internal/publish/a.go", `package a; import "os"; var x = os.Getenv("X")`, 1},
		"env as a value":   {environment, "internal/publish/a.go", `package a; import "os"; var x = os.LookupEnv`, 1},
		"env in actions":   {environment, "internal/actions/a.go", `package a; import "os"; var x = os.Getenv("X")`, 0},
		"temporary file":   {scratches, "internal/publish/a.go", `package a; import "os"; var x, _ = os.CreateTemp("", "")`, 1},
		"in scratch":       {scratches, "internal/scratch/a.go", `package a; import "os"; var x, _ = os.CreateTemp("", "")`, 0},
		"type":             {names, "a.go", `package a; type LayerManager struct{}`, 1},
		"unexported type":  {names, "a.go", `package a; type state struct{}`, 1},
		"inner type":       {names, "a.go", `package a; func f() { type runInfo struct{} }`, 1},
		"package":          {names, "a_test.go", `package utils_test`, 1},
		"whole words only": {names, "a.go", `package statement; type Database struct{}; type MediaType string`, 0},
		"borrowed word":    {names, "a.go", `package a; type pathInfoJSON struct{}; type PathInfo struct{}`, 0},
		"skip":             {skips, "a_test.go", `package a; func f() { t.Skipf("x") }`, 1},
		"skip elsewhere":   {skips, "a_test.go", `package a; func f() { reader.Skip(1) }`, 0},
		"at the limit":     {functions, "a.go", "package a\nfunc f() {" + strings.Repeat("\n", longest-1) + "}", 0},
		"over the limit":   {functions, "a.go", "package a\nfunc f() {" + strings.Repeat("\n", longest) + "}", 1},
		"open":             {opens, "internal/a/a.go", `package a; import "os"; var x, y = os.Open, os.ReadFile`, 2},
		"open in place":    {opens, "internal/plainfile/plainfile.go", `package a; import "os"; var x = os.OpenFile`, 0},
		"open in test":     {opens, "internal/a/a_test.go", `package a; import "os"; var x = os.ReadFile`, 0},
		"architecture":     {platforms, "internal/serve/a.go", `package a; const x = "arm64"`, 1},
		"in the table":     {platforms, "internal/nix/platform.go", `package nix; const x = "arm64"`, 0},
		"marker":           {markers, "a.go", "package a // TO" + "DO: the rest", 1},
		"no marker":        {markers, "a.go", "package a // TODOS", 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s, err := parse(c.name, c.text)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.rule(s); len(got) != c.want {
				t.Errorf("got %q, want %d violations", got, c.want)
			}
		})
	}
}

func TestSources(t *testing.T) {
	all := readSources(t)
	if len(all) < 10 {
		t.Fatalf("only %d sources found: the walk is broken", len(all))
	}
	for name, check := range rules {
		t.Run(name, func(t *testing.T) {
			for _, s := range all {
				for _, violation := range check(s) {
					t.Error(violation)
				}
			}
		})
	}
}

func readSources(t *testing.T) []source {
	t.Helper()
	var all []source
	root := os.DirFS(".")
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules"):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		s, err := parse(name, string(text))
		all = append(all, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// wall keeps an import path out of the non-test code of some directories; may names the files that are let through.
type wall struct {
	path string
	in   func(directory string) bool
	may  []string
	but  []string // imports below path that are let through
}

var walls = []wall{
	{path: "os/exec", in: everywhere, may: []string{"internal/nixbuild/runner.go"}},
	{path: module + "internal/build", in: otherThan("internal/cli", "internal/serve")},
	{path: module, in: oneOf("publish"), but: []string{module + "internal/bounded", module + "internal/plainfile", module + "internal/publish", module + "internal/registry", module + "internal/registry/registrytest", module + "internal/scratch"}}, // which import none themselves
	{path: module, in: oneOf("scratch")},
}

// core are the packages that are functions of their arguments: what they link, directly or through others, starts no process and
// speaks no HTTP.
var core = []string{"explain", "image", "layers", "nix", "popularity", "spec"}

func TestCoreIsPure(t *testing.T) {
	for _, name := range core {
		for _, imported := range dependencies(t, "internal/"+name) {
			if imported == "os/exec" || imported == "net/http" {
				t.Errorf("internal/%s links %s", name, imported)
			}
		}
	}
	if !slices.Contains(dependencies(t, "internal/nixbuild"), "os/exec") {
		t.Error("the list of dependencies is not whole: nixbuild starts processes")
	}
}

// dependencies returns the import paths of all packages that a directory's package links.
func dependencies(t *testing.T, dir string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", "./"+dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

func everywhere(string) bool { return true }

func oneOf(packages ...string) func(string) bool {
	return func(directory string) bool {
		return slices.ContainsFunc(packages, func(p string) bool { return within(directory, "internal/"+p) })
	}
}

func otherThan(directories ...string) func(string) bool {
	return func(directory string) bool {
		return !slices.ContainsFunc(directories, func(f string) bool { return within(directory, f) })
	}
}

// within reports whether a slash-separated path is directory or below it.
func within(name, directory string) bool {
	return name == directory || strings.HasPrefix(name, directory+"/")
}

func (w wall) stops(s source, imported string) bool {
	reached := imported == w.path || strings.HasSuffix(w.path, "/") && strings.HasPrefix(imported, w.path)
	ownChild := within(imported, module+s.directory())
	return reached && !slices.Contains(w.but, imported) && !ownChild && w.in(s.directory()) && !slices.Contains(w.may, s.name)
}

func imports(s source) (violations []string) {
	if s.test() {
		return nil
	}
	for _, spec := range s.file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		for _, w := range walls {
			if w.stops(s, imported) {
				violations = append(violations, s.at(spec.Pos(), "%s may not import %s", s.directory(), imported))
			}
		}
	}
	return violations
}

// environment lets only the outermost packages read the environment: what the others do follows from their arguments.
func environment(s source) (violations []string) {
	if s.test() || !otherThan("internal/cli", "internal/actions")(s.directory()) {
		return nil
	}
	readers := []string{"Getenv", "LookupEnv", "Environ", "ExpandEnv"}
	for _, sel := range selections(s, "os") {
		if slices.Contains(readers, sel.Sel.Name) {
			violations = append(violations, s.at(sel.Pos(), "os.%s is for internal/cli and internal/actions", sel.Sel.Name))
		}
	}
	return violations
}

// selections returns all x.Name in a source, in its order.
func selections(s source, x string) (found []*ast.SelectorExpr) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok && id.Name == x {
				found = append(found, sel)
			}
		}
		return true
	})
	return found
}

// emptyWords say nothing about what a type or package is. They count as whole words: Database and Statement are fine.
var emptyWords = regexp.MustCompile(
	`(Managers?|Helpers?|Utils?|Common|Types|Impl|Context|Engine|Service|Data|Info|State)([^a-z]|$)`)

// borrowed are words that others gave, and that their users look for.
var borrowed = strings.NewReplacer(
	"PathInfo", "", // as in `nix path-info`
)

func empty(name string) bool {
	title := strings.ToUpper(name[:1]) + name[1:]
	return emptyWords.MatchString(borrowed.Replace(title))
}

func names(s source) (violations []string) {
	if pkg := s.file.Name; empty(strings.TrimSuffix(pkg.Name, "_test")) {
		violations = append(violations, s.at(pkg.Pos(), "package name %s says nothing", pkg.Name))
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok && empty(spec.Name.Name) {
			violations = append(violations, s.at(spec.Pos(), "type name %s says nothing", spec.Name.Name))
		}
		return true
	})
	return violations
}

// openers are the files that open what no user names: their own files, and a generator's in this module.
var openers = []string{
	"internal/plainfile/plainfile.go",
	"internal/scratch/dir.go", "internal/scratch/file.go", "internal/actions/outputs.go", "internal/popularity/crawl/journal.go", // with flags that do not wait, or after a check
	"internal/cache/dir/dir.go", "internal/blobstore/commit.go", // a directory, to sync it
	"internal/nixinstall/register.go", // just made
	"internal/spec/specdoc/main.go", "internal/actions/actiongen/main.go", "internal/serve/settings/settingsdoc/main.go",
}

// opens sends what reads a file by its name to package plainfile: a named pipe would block for ever, and no context would end it.
func opens(s source) (violations []string) {
	if s.test() || slices.Contains(openers, s.name) || within(s.directory(), "testdata") {
		return nil
	}
	for _, sel := range selections(s, "os") {
		if slices.Contains([]string{"Open", "OpenFile", "ReadFile"}, sel.Sel.Name) {
			violations = append(violations, s.at(sel.Pos(), "os.%s may wait for ever: use plainfile", sel.Sel.Name))
		}
	}
	return violations
}

// scratches sends what creates a temporary or an output file to package scratch: it sweeps after a kill, and writes through no link.
func scratches(s source) (violations []string) {
	if s.test() || path.Base(s.name) == "main.go" || within(s.directory(), "internal/scratch") || within(s.directory(), "testdata") {
		return nil
	}
	for _, sel := range selections(s, "os") {
		if slices.Contains([]string{"MkdirTemp", "CreateTemp", "Create"}, sel.Sel.Name) {
			violations = append(violations, s.at(sel.Pos(), "os.%s leaves what no run sweeps, or follows a link: use scratch", sel.Sel.Name))
		}
	}
	return violations
}

// platforms sends what decides by a name of an architecture to the one table of them.
func platforms(s source) (violations []string) {
	if s.test() || s.name == "internal/nix/platform.go" || s.name == "internal/nixinstall/release.go" || within(s.directory(), "testdata") {
		return nil
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			text, _ := strconv.Unquote(literal.Value)
			if slices.Contains([]string{"amd64", "arm64", "linux/amd64", "linux/arm64", "x86_64-linux", "aarch64-linux"}, text) {
				violations = append(violations, s.at(literal.Pos(), "%s is decided in internal/nix/platform.go", literal.Value))
			}
		}
		return true
	})
	return violations
}

// skips wants every test to pass or to fail: a missing tool is a failure.
func skips(s source) (violations []string) {
	if !s.test() {
		return nil
	}
	for _, receiver := range []string{"t", "b", "f", "tb"} {
		for _, sel := range selections(s, receiver) {
			if strings.HasPrefix(sel.Sel.Name, "Skip") {
				violations = append(violations, s.at(sel.Pos(), "%s.%s: a test passes or fails", receiver, sel.Sel.Name))
			}
		}
	}
	return violations
}

const longest = 80 // lines

func functions(s source) (violations []string) {
	for _, decl := range s.file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		lines := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1
		if lines > longest {
			violations = append(violations, s.at(f.Pos(), "%s has %d lines, over %d", f.Name.Name, lines, longest))
		}
	}
	return violations
}

// Written so that this file does not match itself.
var marker = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`)

func markers(s source) (violations []string) {
	for i, line := range strings.Split(s.text, "\n") {
		if found := marker.FindString(line); found != "" {
			violations = append(violations, fmt.Sprintf("%s:%d: %s: do it, or file an issue", s.name, i+1, found))
		}
	}
	return violations
}
