package layers

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"

	"github.com/org/nixery-action/internal/nix"
)

// Entry is one file, directory or symbolic link of a layer.
type Entry struct {
	Name string      // slash-separated, relative to the image's root
	Mode fs.FileMode // as written: type, permissions, sticky bit; nothing else
	Size int64       // bytes of a regular file
	Link string      // target of a symbolic link
	Open func() (io.ReadCloser, error)
}

// part is a run of entries that compresses on its own. A store path is one
// part, so its compressed bytes are the same in every layer. Entries come depth
// first, names sorted by bytes: the order of a NAR, so that a part could be read
// from a NAR too.
type part iter.Seq2[Entry, error]

// A NAR has one bit of permissions; these are the modes of files in Nix's store.
const (
	modeDir     = fs.ModeDir | 0o555
	modeFile    = fs.FileMode(0o444)
	modeProgram = fs.FileMode(0o555)
	modeLink    = fs.ModeSymlink | 0o777
)

// entries returns a part that yields all.
func entries(all ...Entry) part {
	return func(yield func(Entry, error) bool) {
		for _, e := range all {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// walk returns the part of one store path, read from a file system whose root
// contains the directory nix/store.
//
//	/nix/store/…-app  ▶  nix/store/…-app/  nix/store/…-app/bin/  nix/store/…-app/bin/app  nix/store/…-app/share/
func walk(store fs.FS, storePath nix.StorePath) part {
	return func(yield func(Entry, error) bool) {
		name := string(storePath[1:])
		info, err := fs.Lstat(store, name)
		if err != nil {
			yield(Entry{}, fmt.Errorf("reading store path: %w", err))
			return
		}
		walkInto(store, name, info, yield)
	}
}

// walkInto yields name and what is below it, and reports whether to go on: not
// after an error, nor once yield returns false.
func walkInto(store fs.FS, name string, info fs.FileInfo, yield func(Entry, error) bool) bool {
	e, err := newEntry(store, name, info)
	if !yield(e, err) || err != nil {
		return false
	}
	if !info.IsDir() {
		return true
	}
	children, err := fs.ReadDir(store, name)
	if err != nil {
		return yield(Entry{}, fmt.Errorf("reading store path: %w", err))
	}
	slices.SortFunc(children, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	for _, child := range children {
		info, err := child.Info()
		if err != nil {
			return yield(Entry{}, fmt.Errorf("reading store path: %w", err))
		}
		if !walkInto(store, path.Join(name, child.Name()), info, yield) {
			return false
		}
	}
	return true
}

func newEntry(store fs.FS, name string, info fs.FileInfo) (Entry, error) {
	e := Entry{Name: name}
	switch mode := info.Mode(); {
	case mode.IsDir():
		e.Mode = modeDir
	case mode&fs.ModeSymlink != 0:
		target, err := fs.ReadLink(store, name)
		if err != nil {
			return Entry{}, fmt.Errorf("reading store path: %w", err)
		}
		e.Mode, e.Link = modeLink, target
	case mode.IsRegular():
		e.Mode, e.Size = modeFile, info.Size()
		if mode&0o100 != 0 {
			e.Mode = modeProgram
		}
		e.Open = func() (io.ReadCloser, error) { return store.Open(name) }
	default:
		return Entry{}, fmt.Errorf("%s is neither file, directory nor link (%s): it does not belong in a store", name, mode.Type())
	}
	return e, nil
}
