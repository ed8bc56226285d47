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
)

// hashPath hashes a folder, or a file and, if it may refer to others, the folder
// it is in. What cannot be covered, or read, is [ErrUnpinned]: then evaluation
// has the word.
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
	root string
}

func (t treeHash) entry(name string, d fs.DirEntry) error {
	below, err := filepath.Rel(t.root, name)
	if err != nil {
		return err
	}
	switch mode := d.Type(); {
	case mode.IsDir():
		t.add("folder", below)
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
	f, err := os.Open(name)
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
	// What has parent folders in it: ../x, ./.., ../../x.
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
	for _, found := range upwards.FindAllString(string(text), -1) {
		target := filepath.Join(filepath.Dir(name), found)
		if _, err := os.Lstat(target); err == nil && t.outside(target) {
			return fmt.Errorf("%w: %s refers to %s, which is outside of %s", ErrUnpinned, name, found, t.root)
		}
	}
	return t.confinedBelow(name, text)
}

// confinedBelow is confined for paths from the root.
func (t treeHash) confinedBelow(name string, text []byte) error {
	named := append(fromRoot.FindAllSubmatch(text, -1), readFrom.FindAllSubmatch(text, -1)...)
	for _, match := range named {
		target := strings.TrimRight(string(match[1]), " \t\r\n+)")
		if harmless.MatchString(target) {
			continue
		}
		if _, err := os.Lstat(target); err == nil && t.outside(filepath.Clean(target)) {
			return fmt.Errorf("%w: %s refers to %s, which is outside of %s", ErrUnpinned, name, target, t.root)
		}
	}
	return nil
}

// readExpression bounds memory: nixpkgs' largest file has 17 MB.
func readExpression(name string) ([]byte, error) {
	const most = 64 << 20
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnpinned, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil || len(text) > most {
		return nil, fmt.Errorf("%w: reading %s, of at most %d bytes: %w", ErrUnpinned, name, most, firstOf(err, io.ErrShortBuffer))
	}
	return text, nil
}
