package spec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/org/nixery-action/internal/plainfile"
)

// maxSize bounds a spec, in bytes. The largest sensible one is a few kilobytes.
const maxSize = 1 << 20

// shortest is shown to those who have no spec yet.
const shortest = "    packages: [git, curl]\n    architectures: [amd64, arm64]"

// Load reads and parses file. Variables in tags and labels are looked up with
// env, which reports whether a variable is set; nil means that none is. Paths in
// the spec are taken as relative to the file's directory. Whatever goes wrong, the
// error is an [Errors], and tells the person who wrote the spec what to do.
func Load(file string, env func(name string) (string, bool)) (*Spec, error) {
	data, err := read(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, Errors{{File: file, Message: missing(file)}}
	}
	if err != nil {
		return nil, Errors{{File: file, Message: fmt.Sprintf("reading the spec: %v", err)}}
	}
	return Parse(file, data, env)
}

// missing says what to do about a file that is not there; YAML's have two endings.
func missing(file string) string {
	ending := filepath.Ext(file)
	if other := map[string]string{".yaml": ".yml", ".yml": ".yaml"}[ending]; other != "" {
		near := strings.TrimSuffix(file, ending) + other
		if at, err := os.Stat(near); err == nil && at.Mode().IsRegular() {
			return fmt.Sprintf("there is no such file, but there is %s; name or rename that", filepath.Base(near))
		}
	}
	return "there is no such file; name the spec, or write one. The shortest that works:\n\n" + shortest
}

// read returns at most one byte more than a spec may have.
func read(file string) ([]byte, error) {
	f, err := plainfile.Open(file)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	return data, withoutPath(err)
}

// withoutPath leaves out of err the file's name, which Error shows already.
func withoutPath(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}

// Parse is [Load] with the file's bytes at hand. Every error that it returns has
// a place in the file.
func Parse(file string, data []byte, env func(name string) (string, bool)) (*Spec, error) {
	if env == nil {
		env = func(string) (string, bool) { return "", false }
	}
	d := &decoder{file: file, env: env}
	s := &Spec{File: file, Version: 1}
	if root := d.root(data); root != nil {
		d.document(root, s)
	}
	if len(d.errs) > 0 {
		d.errs.keepInside(splitLines(data))
		d.errs.sort()
		return nil, d.errs.bounded()
	}
	return s, nil
}

// root parses YAML, and returns the root of the only document, or nil after an
// error.
func (d *decoder) root(data []byte) *yaml.Node {
	if len(data) > maxSize {
		d.errorf(start, "the spec is larger than %d KiB", maxSize>>10)
		return nil
	}
	if !utf8.Valid(data) {
		d.notUTF8(data)
		return nil
	}
	lines := &lineReader{rest: data}
	documents := yaml.NewDecoder(lines)
	var first, second yaml.Node
	if err := documents.Decode(&first); errors.Is(err, io.EOF) {
		d.errorf(start, "the spec is empty; the shortest that works:\n\n%s", shortest)
		return nil
	} else if err != nil {
		d.syntax(data, lines.count, err)
		return nil
	}
	if err := documents.Decode(&second); err == nil {
		d.errorf(&second, "a second document begins here; a spec is one document, with several images under the key images")
	} else if !errors.Is(err, io.EOF) {
		d.syntax(data, lines.count, err)
	}
	return first.Content[0]
}

// start is where errors of the whole file are reported.
var start = &yaml.Node{Line: 1, Column: 1}

func (d *decoder) notUTF8(data []byte) {
	end := 0
	for r, size := utf8.DecodeRune(data); r != utf8.RuneError || size > 1; r, size = utf8.DecodeRune(data[end:]) {
		end += size
	}
	before := splitLines(data[:end])
	at := &yaml.Node{Line: len(before), Column: utf8.RuneCountInString(before[len(before)-1]) + 1}
	d.errorf(at, "the spec is not UTF-8 text: here is the byte %#x", data[end])
}

// lineEnds are those of YAML 1.1 (section 5.4), which the parser goes by.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

func splitLines(text []byte) []string {
	return strings.Split(lineEnds.Replace(string(text)), "\n")
}

// lineReader hands out one line a time, so that its count tells how far the
// parser had to read before it gave up.
type lineReader struct {
	rest  []byte
	count int // lines handed out, the last one perhaps in part
	mid   bool
}

func (l *lineReader) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		return 0, io.EOF
	}
	if !l.mid {
		l.count++
	}
	end := len(l.rest)
	if i := bytes.IndexByte(l.rest, '\n'); i >= 0 {
		end = i + 1
	}
	n := copy(p, l.rest[:end])
	l.mid = l.rest[n-1] != '\n'
	l.rest = l.rest[n:]
	return n, nil
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// syntax reports an error of the YAML parser, which gives a line at best, and
// one less than the line's number if the error is of its grammar, not of its
// scanner (yaml.v3, parser.fail). In a block the line it gives is the block's
// first, so there the last line that it read is nearer to the fault.
func (d *decoder) syntax(data []byte, lastRead int, err error) {
	line, message := lastRead, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlError.FindStringSubmatch(err.Error()); m != nil && m[1] != "" {
		message = m[2]
		given, _ := strconv.Atoi(m[1])
		switch {
		case strings.HasPrefix(message, "did not find expected key"), strings.HasPrefix(message, "did not find expected '-'"):
		case strings.HasPrefix(message, "did not find expected"):
			line = given + 1
		default:
			line = given
		}
	}
	lines := splitLines(data)
	line = min(max(line, 1), len(lines))
	if line == lastRead && line > 1 && indentHint(lines[:line]) == "" && indentHint(lines[:line-1]) != "" {
		line-- // the parser reads a line ahead of a key, to see whether it has a block
	}
	text := lines[line-1]
	indent := len(text) - len(strings.TrimLeft(text, " \t"))
	hint := ""
	switch {
	case strings.ContainsRune(text[:indent], '\t'):
		hint = "; YAML is indented with spaces, and here is a tab"
	case strings.Contains(text, "${"):
		hint = "; inside [ ] and { }, put quotes around what has ${…}"
	default:
		hint = indentHint(lines[:line])
	}
	d.errorf(&yaml.Node{Line: line, Column: indent + 1}, "not YAML: %s%s", message, hint)
}

// indentHint is what to do about the last of the lines if its indentation agrees with
// none of the blocks above it; empty if the indentation is not to blame.
//
//	config:
//	    user: app
//	  cmd: [x]        ▶ indented by 2 spaces, where line 2 is by 4 and line 1 by 0
func indentHint(lines []string) string {
	last := len(lines) - 1
	width, ok := indentOf(lines[last])
	if !ok {
		return ""
	}
	deeper, deep := 0, 0 // number and indentation of the nearest line above that is indented more
	for i := last - 1; i >= 0; i-- {
		above, ok := indentOf(lines[i])
		switch {
		case !ok:
		case above > width:
			if deeper == 0 || above < deep {
				deeper, deep = i+1, above
			}
		case above == width:
			return ""
		case deeper > 0:
			return fmt.Sprintf("; the line is indented by %s, where line %d has %d and line %d has %d: align it with one of them",
				spaces(width), i+1, above, deeper, deep)
		case strings.HasPrefix(strings.TrimSpace(lines[i]), "- "):
			return "" // its key may begin after the hyphen
		default:
			if _, value, found := strings.Cut(lines[i], ": "); found && strings.TrimSpace(value) != "" {
				return fmt.Sprintf("; the line is indented by %s, but line %d, above it, already has its value: align it with that line", spaces(width), i+1)
			}
			return ""
		}
	}
	if deeper > 0 {
		return fmt.Sprintf("; the line is indented by %s, where line %d has %d: align it with that line", spaces(width), deeper, deep)
	}
	return ""
}

// indentOf is the number of spaces that text begins with, and whether it holds more than
// blanks and a comment.
func indentOf(text string) (width int, ok bool) {
	rest := strings.TrimLeft(text, " ")
	return len(text) - len(rest), strings.TrimSpace(rest) != "" && rest[0] != '#'
}

func spaces(n int) string {
	if n == 1 {
		return "1 space"
	}
	return strconv.Itoa(n) + " spaces"
}
