package layers

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/org/nixery-action/internal/nix"
)

// maxFollowed is how many links Linux follows on the way to one file (path_resolution(7)).
const maxFollowed = 40

// maxNameLen is the longest name in a directory, in bytes (NAME_MAX).
const maxNameLen = 255

// A fileTree answers for one name at a time: follow takes each step of a link
// itself, since the operating system would go to the files of the machine.
type fileTree interface {
	// lookup describes the file of a name whose parents are directories, not
	// links. If none exists, the error is [fs.ErrNotExist].
	lookup(name string) (inode, error)
}

// inode is a file, directory or link.
type inode struct {
	mode fs.FileMode
	link string // target of a link
	size int64  // of a regular file
}

// found is what a name leads to.
type found struct {
	name string // without a link on the way, relative to the root
	inode
}

// follow resolves a name as Linux does in a container whose root is that of the
// tree (path_resolution(7)). The error is [fs.ErrNotExist] if the name leads
// nowhere, or to a file that the tree does not have, such as the target of a link
// out of the store.
//
//	bin/sh → /nix/store/…-dash/bin/sh → dash  ▶  nix/store/…-dash/bin/dash
func follow(in fileTree, name string) (found, error) {
	root := inode{mode: modeDir}
	at, links, rest := found{inode: root}, 0, strings.Split(name, "/")
	for len(rest) > 0 {
		step := rest[0]
		rest = rest[1:]
		switch {
		case !at.mode.IsDir():
			return found{}, fs.ErrNotExist
		case step == "" || step == ".":
			continue
		case step == "..":
			parent := path.Dir(at.name)
			at = found{name: strings.TrimPrefix(parent, "."), inode: inode{mode: modeDir}}
			continue
		case len(step) > maxNameLen:
			return found{}, fs.ErrNotExist
		}
		next, err := in.lookup(join(at.name, step))
		if err != nil {
			return found{}, err
		}
		if next.mode&fs.ModeSymlink == 0 {
			at = found{name: join(at.name, step), inode: next}
			continue
		}
		if links++; links > maxFollowed || next.link == "" {
			return found{}, fs.ErrNotExist
		}
		if path.IsAbs(next.link) {
			at = found{inode: root}
		}
		rest = append(strings.Split(next.link, "/"), rest...)
	}
	return at, nil
}

// storeTree is the part of a store that belongs to a closure: nix, nix/store and
// its paths. The directory of the store cannot be listed, as it contains other
// paths of the machine.
type storeTree struct {
	store fs.FS
	paths map[nix.StorePath]bool
}

func newStoreTree(store fs.FS, packages []nix.StorePath, closure nix.Closure) storeTree {
	t := storeTree{store, map[nix.StorePath]bool{}}
	for _, p := range packages {
		t.paths[p] = true
	}
	for _, info := range closure.Paths {
		t.paths[info.Path] = true
	}
	return t
}

func (t storeTree) lookup(name string) (inode, error) {
	if name == path.Dir(nix.StoreDir[1:]) || name == nix.StoreDir[1:] {
		return inode{mode: modeDir}, nil
	}
	if _, ok := t.pathOf(name); !ok || !fs.ValidPath(name) {
		return inode{}, fs.ErrNotExist
	}
	info, err := fs.Lstat(t.store, name)
	if err != nil {
		return inode{}, err
	}
	n := inode{mode: info.Mode(), size: info.Size()}
	if n.mode&fs.ModeSymlink != 0 {
		n.link, err = fs.ReadLink(t.store, name)
	}
	return n, err
}

// pathOf returns the store path that contains a name, and whether the closure has
// it: nix/store/…-app/bin/app ▶ /nix/store/…-app.
func (t storeTree) pathOf(name string) (nix.StorePath, bool) {
	below, ok := strings.CutPrefix(name, nix.StoreDir[1:]+"/")
	if !ok {
		return "", false
	}
	first, _, _ := strings.Cut(below, "/")
	p := nix.StorePath(nix.StoreDir + "/" + first)
	return p, t.paths[p]
}

// directory returns the directory inside a store path that a name leads to. The
// result ok is false if the name leads elsewhere, such as out of the store, or
// nowhere.
func (t storeTree) directory(name string) (real string, ok bool, err error) {
	at, err := follow(t, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	_, inside := t.pathOf(at.name)
	return at.name, inside && at.mode.IsDir(), nil
}

// list reads a directory that follow has found.
func (t storeTree) list(real string) ([]fs.DirEntry, error) {
	children, err := fs.ReadDir(t.store, real)
	slices.SortFunc(children, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return children, err
}
