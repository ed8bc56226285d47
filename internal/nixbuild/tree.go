package nixbuild

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/nix-community/go-nix/pkg/wire"

	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/plainfile"
)

// tree is how Nix gets an expression that lies on this machine. In a git
// repository Nix evaluates a copy in its store, of the files that git does not
// ignore: `src = ./.` then has nothing else to take, and the copy's place does
// not depend on the checkout's. Elsewhere Nix evaluates it where it lies.
type tree struct {
	path  string   // what the user named
	real  string   // the same without links
	root  string   // what the copy is of; empty for an expression that stays where it is
	below string   // the expression, relative to root, with slashes
	files []string // those of the copy, relative to root, in order
	hash  string   // the SHA-256 of the copy's NAR, in hex
}

// copied reports whether Nix evaluates a copy.
func (t tree) copied() bool { return t.root != "" }

// treeRequest is a [tree] as eval.nix reads it.
type treeRequest struct {
	Path  string          `json:"path,omitempty"` // of an expression that stays where it is
	Root  string          `json:"root,omitempty"`
	Skip  int             `json:"skip,omitempty"` // the bytes that the root takes of a file's path
	Below string          `json:"below,omitempty"`
	Names map[string]bool `json:"names,omitempty"` // files and the directories that hold them
	Hash  string          `json:"hash,omitempty"`
}

func (t tree) request() treeRequest {
	if !t.copied() {
		return treeRequest{Path: t.path}
	}
	r := treeRequest{Root: t.root, Skip: len(strings.TrimSuffix(t.root, "/")) + 1, Names: map[string]bool{}, Hash: t.hash}
	if t.below != "." {
		r.Below = "/" + t.below
	}
	for _, file := range t.files {
		for name := file; name != "." && !r.Names[name]; name = path.Dir(name) {
			r.Names[name] = true
		}
	}
	return r
}

// copies matches a file of a copy in Nix's store, as eval.nix names copies.
var copies = regexp.MustCompile(regexp.QuoteMeta(nix.StoreDir) + `/[0-9a-z]{32}-source/([^\s:'"’]+)`)

// original puts the places of files in the checkout for those in the copy, and
// says why the copy lacks one that the checkout has.
func (r treeRequest) original(text string) string {
	advice := ""
	text = copies.ReplaceAllStringFunc(text, func(name string) string {
		file := copies.FindStringSubmatch(name)[1]
		origin := filepath.Join(r.Root, file)
		if r.Names[file] {
			return origin
		}
		if _, err := os.Lstat(origin); err != nil || !r.copied() || advice != "" {
			return name
		}
		advice = fmt.Sprintf("\n%s exists, but is not read, since git ignores it or it is outside of the directory of the path; let git know it, or write include-ignored: true beside the path", origin)
		return origin
	})
	return text + advice
}

func (r treeRequest) copied() bool { return r.Root != "" }

// treeOf finds out how Nix gets the expression at name. A name that does not
// exist stays as it is, for the evaluation to say so.
func treeOf(ctx context.Context, r Runner, name string, includeIgnored bool) (tree, error) {
	t := tree{path: name}
	var err error
	if t.real, err = filepath.EvalSymlinks(name); err != nil {
		return t, nil
	}
	dir := t.real
	stat, err := os.Stat(t.real)
	switch {
	case err != nil:
		return t, nil
	case stat.Mode().IsRegular():
		dir = filepath.Dir(t.real)
	}
	for _, opened := range []string{t.real, filepath.Join(dir, "default.nix")} { // Nix would wait for a pipe
		if err := plainfile.Check(opened); errors.Is(err, plainfile.ErrKind) {
			return t, err
		}
	}
	if strings.HasPrefix(dir, nix.StoreDir+"/") {
		return t, nil
	}
	if err := t.choose(ctx, r, dir, includeIgnored); err != nil || !t.copied() {
		return t, err
	}
	return t, t.finish(ctx)
}

// choose sets what is copied, if something is.
func (t *tree) choose(ctx context.Context, r Runner, dir string, includeIgnored bool) error {
	if includeIgnored {
		if root, found := checkoutAbove(dir); found {
			return t.take(ctx, root, dir, func(below string) ([]string, error) {
				files, _, err := allFiles(ctx, root, below)
				return files, err
			})
		}
		return t.outsideGit(ctx, dir)
	}
	c, found, err := checkoutOf(ctx, r, dir)
	if err != nil {
		return err
	}
	if !found {
		return t.outsideGit(ctx, dir)
	}
	return t.take(ctx, c.root, dir, func(below string) ([]string, error) {
		files, err := c.files(ctx, r, below)
		if err != nil || len(files) > 0 {
			return files, err
		}
		if ignored, err := c.ignores(ctx, r, below); err != nil || !ignored {
			return nil, err
		}
		files, _, err = allFiles(ctx, c.root, below) // ignored, and named all the same
		return files, err
	})
}

// outsideGit leaves an expression where it is, unless repositories lie below it:
// what git keeps of itself is never read.
func (t *tree) outsideGit(ctx context.Context, dir string) error {
	if dir != t.real {
		if alone, err := standsAlone(t.real); err != nil || alone {
			return nil // what cannot be read, the evaluation tells
		}
	}
	_, hasGit, err := allFiles(ctx, dir, ".")
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil || !hasGit {
		return nil
	}
	return t.take(ctx, dir, dir, func(below string) ([]string, error) {
		files, _, err := allFiles(ctx, dir, below)
		return files, err
	})
}

// take sets root and files: the expression's directory, or all of root if
// something in the directory refers to what is above it. A file that refers to
// no other is taken alone.
func (t *tree) take(ctx context.Context, root, dir string, list func(below string) ([]string, error)) error {
	t.root = root
	t.below = relative(root, t.real)
	if dir != t.real {
		if alone, err := standsAlone(t.real); err != nil || alone {
			t.files = []string{t.below}
			return err
		}
	}
	within := relative(root, dir)
	var err error
	if t.files, err = list(within); err != nil {
		return err
	}
	if within != "." {
		up, err := t.reachesUp(ctx, dir)
		if err != nil {
			return err
		}
		if up {
			inner := t.files // also if they are ignored
			if t.files, err = list("."); err != nil {
				return err
			}
			t.files = append(t.files, inner...)
		}
	}
	if dir != t.real {
		t.files = append(t.files, t.below) // named, so it is taken if git ignores it
	}
	return nil
}

// relative is name below root, which holds it, with slashes.
func relative(root, name string) string {
	below, err := filepath.Rel(root, name)
	if err != nil {
		return name
	}
	return filepath.ToSlash(below)
}

// reachesUp reports whether a file that is taken of dir seems to refer to what is
// outside of dir and below the root.
func (t *tree) reachesUp(ctx context.Context, dir string) (bool, error) {
	inside := treeHash{root: dir}
	for _, file := range t.files {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		name := filepath.Join(t.root, file)
		stat, err := os.Lstat(name)
		switch {
		case err != nil:
			return false, err
		case stat.Mode()&fs.ModeSymlink != 0:
			if end, err := filepath.EvalSymlinks(name); err == nil && inside.outside(end) {
				return true, nil
			}
		case filepath.Ext(name) == ".nix":
			text, err := readExpression(name)
			if err != nil {
				return false, err
			}
			if _, up := inside.upward(name, text); up {
				return true, nil
			}
		}
	}
	return false, nil
}

// finish checks the list of files, and hashes them.
func (t *tree) finish(ctx context.Context) error {
	slices.SortFunc(t.files, compareNar)
	t.files = slices.Compact(t.files)
	for _, file := range t.files {
		if !utf8.ValidString(file) {
			return fmt.Errorf("the name of the file %q in %s is not UTF-8; rename it, or let git ignore it", file, t.root)
		}
	}
	if stat, err := os.Stat(t.real); err == nil && stat.IsDir() {
		entry := path.Join(t.below, "default.nix")
		_, listed := slices.BinarySearchFunc(t.files, entry, compareNar)
		if _, err := os.Lstat(filepath.Join(t.root, entry)); err == nil && !listed {
			return fmt.Errorf("git ignores %s, so it is not read; let git know it, or write include-ignored: true beside the path", filepath.Join(t.root, entry))
		}
	}
	var err error
	t.hash, err = t.narHash(ctx)
	return err
}

// compareNar orders as a NAR does: by the names of directories, one level after
// the other.
func compareNar(a, b string) int {
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
}

// narHash hashes the copy as Nix does: the SHA-256 of its NAR
// (https://nix.dev/manual/nix/stable/protocols/nix-archive).
func (t *tree) narHash(ctx context.Context) (string, error) {
	sum := sha256.New()
	out := bufio.NewWriterSize(sum, 1<<16)
	n := &narWriter{out: out, root: t.root, ctx: ctx}
	n.strings("nix-archive-1")
	n.directory("", t.files)
	if err := errors.Join(n.err, out.Flush()); err != nil {
		return "", fmt.Errorf("reading %s: %w", t.root, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// narWriter writes what lies below a directory. After its first error it writes
// nothing.
type narWriter struct {
	out  io.Writer
	root string
	ctx  context.Context // of one hash
	err  error
}

func (n *narWriter) strings(all ...string) {
	for _, text := range all {
		if n.err == nil {
			n.err = wire.WriteString(n.out, text)
		}
	}
}

// directory writes the files of one directory, whose name ends in a slash unless
// it is the root.
func (n *narWriter) directory(name string, files []string) {
	n.strings("(", "type", "directory")
	for len(files) > 0 && n.err == nil {
		entry, _, below := strings.Cut(files[0][len(name):], "/")
		n.strings("entry", "(", "name", entry, "node")
		end := 1
		if below {
			inside := name + entry + "/"
			for end < len(files) && strings.HasPrefix(files[end], inside) {
				end++
			}
			n.directory(inside, files[:end])
		} else {
			n.file(filepath.Join(n.root, files[0]))
		}
		n.strings(")")
		files = files[end:]
	}
	n.strings(")")
}

func (n *narWriter) file(name string) {
	if n.err == nil {
		n.err = context.Cause(n.ctx)
	}
	if target, err := os.Readlink(name); err == nil {
		n.strings("(", "type", "symlink", "target", target, ")")
		return
	}
	f, err := plainfile.Open(name)
	if err != nil {
		n.err = errors.Join(n.err, err)
		return
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		n.err = errors.Join(n.err, err)
		return
	}
	n.strings("(", "type", "regular")
	if stat.Mode()&0o100 != 0 {
		n.strings("executable", "")
	}
	n.strings("contents")
	if n.err == nil {
		n.err = wire.WriteUint64(n.out, uint64(stat.Size()))
	}
	if n.err != nil {
		return
	}
	if copied, err := io.Copy(n.out, f); err != nil || copied != stat.Size() {
		n.err = fmt.Errorf("%s changes while it is read: %w", name, firstOf(err, io.ErrUnexpectedEOF))
		return
	}
	_, n.err = n.out.Write(make([]byte, -stat.Size()&7)) // up to a multiple of eight
	n.strings(")")
}
