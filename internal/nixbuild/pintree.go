package nixbuild

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/org/nixery-action/internal/plainfile"
)

// pin is what of a tree goes into a key: where the expression is in the copy that
// Nix evaluates and the copy's hash, or where it lies and a hash of what is there.
// What cannot be covered, or read, is [ErrUnpinned]: then evaluation decides.
func (t tree) pin(ctx context.Context) (place, hash string, err error) {
	if !t.copied() {
		hash, err := hashPath(ctx, t.path)
		return t.path, hash, err // an expression can ask where it is
	}
	inside := treeHash{root: t.root, copied: true}
	for _, file := range t.files {
		if ctx.Err() != nil {
			return "", "", context.Cause(ctx)
		}
		if err := inside.covers(filepath.Join(t.root, file)); err != nil {
			return "", "", err
		}
	}
	return "git " + t.below, t.hash, nil
}

// covers refuses a file that leads, or seems to lead, out of the tree.
func (t treeHash) covers(name string) error {
	if target, err := os.Readlink(name); err == nil {
		if end, err := filepath.EvalSymlinks(name); err == nil && (filepath.IsAbs(target) || t.outside(end)) {
			return fmt.Errorf("%w: the link %s leads out of %s", ErrUnpinned, name, t.root)
		}
		return nil
	}
	if filepath.Ext(name) != ".nix" {
		return nil
	}
	return t.confined(name)
}

// hashPath hashes a directory, or a file and, if it may refer to others, the
// directory it is in.
func hashPath(ctx context.Context, name string) (string, error) {
	root, err := filepath.EvalSymlinks(name)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnpinned, err)
	}
	tree := treeHash{pinKey: newPinKey(), root: root}
	if file, err := os.Stat(root); err == nil && !file.IsDir() {
		alone, err := standsAlone(root)
		if err != nil {
			return "", err
		}
		if !alone {
			tree.add("of", filepath.Base(root))
			tree.root = filepath.Dir(root)
		}
	}
	err = filepath.WalkDir(tree.root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ErrUnpinned, firstOf(context.Cause(ctx), err))
		}
		return tree.entry(name, d)
	})
	return tree.sum(), err
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

var addresses = regexp.MustCompile(`[a-z+]+://[^\s"]*`)

// standsAlone tells of an expression that it names no other file: every path in
// Nix's language has a slash. Addresses and the operator // do not count.
func standsAlone(file string) (bool, error) {
	text, err := readExpression(file)
	text = bytes.ReplaceAll(addresses.ReplaceAll(text, nil), []byte("//"), nil)
	return !bytes.Contains(text, []byte("/")), err
}

// treeHash is over names, kinds, executable bits and contents below a root, in
// the order of a walk, which is that of names.
type treeHash struct {
	pinKey
	root   string
	copied bool // Nix evaluates a copy, so that a path from the root leads out of it
}

func (t treeHash) entry(name string, d fs.DirEntry) error {
	below, err := filepath.Rel(t.root, name)
	if err != nil {
		return err
	}
	switch mode := d.Type(); {
	case mode.IsDir():
		t.add("directory", below)
		return nil
	case mode&fs.ModeSymlink != 0:
		return t.link(name, below)
	case mode.IsRegular():
		return t.file(name, below)
	}
	return fmt.Errorf("%w: %s is no file", ErrUnpinned, name)
}

// link adds a link's target. One that leads out of the tree leads to what is
// not covered; one that leads nowhere is as good as its text.
func (t treeHash) link(name, below string) error {
	target, err := os.Readlink(name)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnpinned, err)
	}
	if end, err := filepath.EvalSymlinks(name); err == nil && t.outside(end) {
		return fmt.Errorf("%w: the link %s leads out of %s", ErrUnpinned, name, t.root)
	}
	t.add("link", below, target)
	return nil
}

func (t treeHash) outside(name string) bool {
	return name != t.root && !strings.HasPrefix(name, strings.TrimSuffix(t.root, "/")+"/")
}

func (t treeHash) file(name, below string) error {
	if filepath.Ext(name) == ".nix" {
		if err := t.confined(name); err != nil {
			return err
		}
	}
	f, err := plainfile.Open(name)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnpinned, err)
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnpinned, err)
	}
	kind := "file"
	if stat.Mode()&0o111 != 0 {
		kind = "program"
	}
	t.add(kind, below)
	t.number(int(stat.Size()))
	if n, err := io.Copy(t, f); err != nil || n != stat.Size() {
		return fmt.Errorf("%w: %s changes while it is read: %w", ErrUnpinned, name, firstOf(err, io.ErrUnexpectedEOF))
	}
	return nil
}

var (
	// What has parent directories in it: ../x, ./.., ../../x.
	upwards = regexp.MustCompile(`\.{1,2}(?:/\.\.)+(?:/[\w.+-]+)?|(?:\.\./)+[\w.+-]*`)
	// A path from the root, not in quotes: /etc/nixos/x.nix, or /. + "/etc/nixos/x.nix".
	fromRoot = regexp.MustCompile(`(?m)(?:^|[\s(=\[{;])(/\.(?:[\s+)]|$)|(?:/[\w.+-]+){2,})`)
	// The same in quotes, where only an expression would read it.
	readFrom = regexp.MustCompile(`\b(?:import|scopedImport|readFile|readDir|pathExists)\s*\(?\s*"(/[^"$]+)`)
	// What stands in scripts, or never changes.
	harmless = regexp.MustCompile(`^/(?:bin|dev|lib|lib64|nix/store|proc|sbin|sys|usr)/|^/etc/(?:[^n]|n[^i])`)
	// <nixpkgs> is looked up in NIX_PATH, which may name a moving channel.
	lookups = regexp.MustCompile(`<[A-Za-z0-9_][\w.+-]*(?:/[\w.+-]+)*>|\bcurrentTime\b|\bgetEnv\b`)
)

// confined refuses an expression that seems to depend on what is not below the
// root, on NIX_PATH, the environment or the time. It does not parse Nix: what
// only looks so costs an evaluation, and what is missed would give an old image.
// A name that does not exist, as in a builder's script, is not taken for one.
func (t treeHash) confined(name string) error {
	text, err := readExpression(name)
	if err != nil {
		return err
	}
	if found := lookups.Find(text); found != nil {
		return fmt.Errorf("%w: %s has %s in it", ErrUnpinned, name, found)
	}
	if found, up := t.upward(name, text); up {
		return fmt.Errorf("%w: %s refers to %s, which is outside of %s", ErrUnpinned, name, found, t.root)
	}
	return t.confinedBelow(name, text)
}

// upward returns what of an expression seems to refer to parent directories
// outside of the root.
func (t treeHash) upward(name string, text []byte) (found string, up bool) {
	if !bytes.Contains(text, []byte("..")) { // most have none, and the pattern is slow
		return "", false
	}
	for _, found := range upwards.FindAllString(string(text), -1) {
		target := filepath.Join(filepath.Dir(name), found)
		if _, err := os.Lstat(target); err == nil && t.outside(target) {
			return found, true
		}
	}
	return "", false
}

// confinedBelow is confined for paths from the root.
func (t treeHash) confinedBelow(name string, text []byte) error {
	named := append(fromRoot.FindAllSubmatch(text, -1), readFrom.FindAllSubmatch(text, -1)...)
	for _, match := range named {
		target := strings.TrimRight(string(match[1]), " \t\r\n+)")
		if harmless.MatchString(target) {
			continue
		}
		if _, err := os.Lstat(target); err == nil && (t.copied || t.outside(filepath.Clean(target))) {
			return fmt.Errorf("%w: %s refers to %s, which is outside of %s", ErrUnpinned, name, target, t.root)
		}
	}
	return nil
}

// readExpression bounds memory: nixpkgs' largest file has 17 MB.
func readExpression(name string) ([]byte, error) {
	const most = 64 << 20
	text, err := plainfile.ReadFile(name, most)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnpinned, err)
	}
	return text, nil
}
