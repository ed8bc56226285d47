package layers

import (
	"bytes"
	"cmp"
	"io"
	"io/fs"
	"slices"

	"github.com/org/nixery-action/internal/nix"
)

// The files in /etc of an image whose packages do not have them: enough for
// programs that look their user up.
const (
	passwd = "root:x:0:0:root:/root:/bin/sh\n" +
		"nobody:x:65534:65534:nobody:/var/empty:/bin/false\n"
	group    = "root:x:0:\nnobody:x:65534:\n"
	nsswitch = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
)

// Root returns the topmost layer of an image. It contains all packages, linked
// into one tree at the image's root, as by nixpkgs' symlinkJoin, and what programs
// expect of a Unix system: /tmp, /root, /usr/bin/env if a package has bin/env, and
// user names in /etc unless a package has them.
//
//	packages bash, git  ▶  bin/bash      → /nix/store/…-bash/bin/bash
//	                       bin/git       → /nix/store/…-git/bin/git
//	                       etc/passwd …  users 0 and 65534
//	                       root/  tmp/   modes 0700 and 1777
//
// Where two packages have the same file, the first by name is linked. A link of a
// package is followed only if it leads to a directory of the closure; other files
// of the machine are never read. The key covers the whole closure, because a
// package may link into paths that it refers to.
func (p *Packer) Root(packages []nix.StorePath, closure nix.Closure, record *Record) *Layer {
	packages = sortedByName(packages)
	return &Layer{
		packer:   p,
		key:      RootKeyOf(packages, closure, p.compression),
		record:   record,
		recalled: record != nil,
		parts: func() ([]part, error) {
			tree, err := linkPackages(newStoreTree(p.store, packages, closure), packages, nil)
			if err != nil {
				return nil, err
			}
			return []part{tree.entries}, nil
		},
	}
}

func sortedByName(packages []nix.StorePath) []nix.StorePath {
	sorted := slices.SortedFunc(slices.Values(packages), func(a, b nix.StorePath) int {
		return cmp.Or(cmp.Compare(a.Name(), b.Name()), cmp.Compare(a.Hash(), b.Hash()))
	})
	return slices.Compact(sorted)
}

// tree is a directory if children is not nil, else a file or link.
type tree struct {
	entry    Entry
	children map[string]*tree
	owner    nix.StorePath // the package it is from; empty for entries of every image
	source   source        // of a link to a file of the owner
}

func newDirectory(name string, mode fs.FileMode) *tree {
	return &tree{entry: Entry{Name: name, Mode: mode}, children: map[string]*tree{}}
}

func (t *tree) isDirectory() bool { return t.children != nil }

// entries yields what is below t, depth first, names sorted by bytes.
func (t *tree) entries(yield func(Entry, error) bool) { t.yieldBelow(yield) }

func (t *tree) yieldBelow(yield func(Entry, error) bool) bool {
	names := make([]string, 0, len(t.children))
	for name := range t.children {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		child := t.children[name]
		if !yield(child.entry, nil) || !child.yieldBelow(yield) {
			return false
		}
	}
	return true
}

// directory returns t's child of that name, which it adds if none exists; nil if
// the child is not a directory.
func (t *tree) directory(name string, mode fs.FileMode) *tree {
	child, ok := t.children[name]
	if !ok {
		child = newDirectory(join(t.entry.Name, name), mode)
		t.children[name] = child
	}
	if !child.isDirectory() {
		return nil
	}
	return child
}

// add adds a leaf to t unless t has a child of that name.
func (t *tree) add(name string, e Entry) {
	if _, taken := t.children[name]; !taken {
		e.Name = join(t.entry.Name, name)
		t.children[name] = &tree{entry: e}
	}
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// linkPackages returns the tree of a root layer. Packages must be sorted by name;
// their conflicts are added to noted, unless that is nil.
func linkPackages(store storeTree, packages []nix.StorePath, noted *conflicts) (*tree, error) {
	f := linkTree{store: store, conflicts: noted}
	root := newDirectory("", modeDir)
	for _, pkg := range packages {
		if err := f.addPackage(root, pkg); err != nil {
			return nil, err
		}
	}
	addSystem(root)
	return root, nil
}

// addSystem adds the entries of every image, unless packages have them; but /tmp is
// always a directory of mode 1777.
func addSystem(root *tree) {
	tmp := newDirectory("tmp", fs.ModeDir|fs.ModeSticky|0o777)
	if old := root.children["tmp"]; old != nil && old.isDirectory() {
		tmp.children = old.children
	}
	root.children["tmp"] = tmp
	root.directory("root", fs.ModeDir|0o700)
	addEnv(root)
	if etc := root.directory("etc", modeDir); etc != nil {
		etc.add("passwd", textFile(passwd))
		etc.add("group", textFile(group))
		etc.add("nsswitch.conf", textFile(nsswitch))
	}
}

// addEnv links /usr/bin/env, since many scripts begin with #!/usr/bin/env.
func addEnv(root *tree) {
	bin := root.children["bin"]
	if bin == nil || bin.children["env"] == nil {
		return
	}
	env := bin.children["env"].entry
	usr := root.directory("usr", modeDir)
	if usr == nil || env.Link == "" {
		return
	}
	if usrBin := usr.directory("bin", modeDir); usrBin != nil {
		usrBin.add("env", Entry{Mode: modeLink, Link: env.Link})
	}
}

func textFile(text string) Entry {
	return Entry{Mode: modeFile, Size: int64(len(text)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader([]byte(text))), nil
	}}
}
