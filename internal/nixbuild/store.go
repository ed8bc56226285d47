package nixbuild

import (
	"cmp"
	"errors"
	"fmt"
	"github.com/org/nixery-action/internal/nix"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
)

// NewStore returns the Nix store in a directory, [StoreDir] on any real machine, as a file system whose root holds
// nix/store, and in it nothing but store paths. It cannot be led out: no link,
// however it is written, opens a file that lies elsewhere, and the store itself
// cannot be listed. The store is opened when it is first read, as Nix may be
// installed later than this is called.
func NewStore(dir string) fs.ReadLinkFS { return &rootedStore{dir: dir} }

// rootedStore reads below one directory, by way of [os.Root].
type rootedStore struct {
	dir string

	mu   sync.Mutex
	root *os.Root
}

var _ fs.ReadDirFS = (*rootedStore)(nil)

// Open opens a file or directory of a store path. What is a link is refused: who
// packs links reads them.
func (s *rootedStore) Open(name string) (fs.File, error) { return s.open(name) }

func (s *rootedStore) open(name string) (*os.File, error) {
	root, below, err := s.locate("open", name)
	if err != nil {
		return nil, err
	}
	seen, err := root.Lstat(below)
	if err != nil {
		return nil, err
	}
	if seen.Mode()&fs.ModeSymlink != 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("it is a link, which is not followed")}
	}
	f, err := root.Open(below)
	if err != nil {
		return nil, err
	}
	opened, err := f.Stat()
	if err == nil && !os.SameFile(seen, opened) {
		err = &fs.PathError{Op: "open", Path: name, Err: errors.New("it was replaced while it was opened")}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// ReadDir implements [fs.ReadDirFS].
func (s *rootedStore) ReadDir(name string) ([]fs.DirEntry, error) {
	f, err := s.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := f.ReadDir(-1)
	slices.SortFunc(all, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return all, err
}

// Lstat implements [fs.ReadLinkFS].
func (s *rootedStore) Lstat(name string) (fs.FileInfo, error) {
	root, below, err := s.locate("lstat", name)
	if err != nil {
		return nil, err
	}
	return root.Lstat(below)
}

// ReadLink implements [fs.ReadLinkFS].
func (s *rootedStore) ReadLink(name string) (string, error) {
	root, below, err := s.locate("readlink", name)
	if err != nil {
		return "", err
	}
	return root.Readlink(below)
}

// locate turns a name into one below the store's directory. What is no store
// path does not exist.
func (s *rootedStore) locate(op, name string) (*os.Root, string, error) {
	if !fs.ValidPath(name) {
		return nil, "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	below, ok := strings.CutPrefix(name, nix.StoreDir[1:]+"/")
	first, _, _ := strings.Cut(below, "/")
	if _, err := nix.ParseStorePath(nix.StoreDir + "/" + first); !ok || err != nil {
		return nil, "", &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root == nil {
		root, err := os.OpenRoot(s.dir)
		if err != nil {
			return nil, "", fmt.Errorf("opening the store: %w", err)
		}
		s.root = root
	}
	return s.root, below, nil
}
