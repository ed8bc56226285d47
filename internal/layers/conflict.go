package layers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/org/nixery-action/internal/nixbuild"
)

// maxConflictNames is how many names of one pair of packages are kept.
const maxConflictNames = 8

// Conflict is files that two packages have under the same names, and that are
// not the same. Where one of them is a directory, and the other is not, all of
// the one that is left out is missing.
type Conflict struct {
	Used, Left nixbuild.StorePath
	Names      []string // some of them, sorted, relative to the image's root
	More       bool     // whether there may be others
}

// conflicts collects, in the order in which they are found.
type conflicts struct {
	all    []*Conflict
	byPair map[[2]nixbuild.StorePath]*Conflict
}

// conflict notes that a file of the package is left out, unless what is there is the same.
func (f forester) conflict(there *tree, from source) error {
	if f.conflicts == nil || there.owner == f.pkg || strings.HasPrefix(there.entry.Name, "nix-support/") {
		return nil // nix-support is for builds of other packages, and many have it
	}
	pair := [2]nixbuild.StorePath{there.owner, f.pkg}
	c := f.conflicts.byPair[pair]
	if c != nil && c.More {
		return nil
	}
	if same, err := f.same(there, from); same || err != nil {
		return err
	}
	if c == nil {
		c = &Conflict{Used: there.owner, Left: f.pkg}
		f.conflicts.byPair[pair] = c
		f.conflicts.all = append(f.conflicts.all, c)
	}
	if c.More = len(c.Names) == maxConflictNames; !c.More {
		c.Names = append(c.Names, there.entry.Name)
	}
	return nil
}

// same tells whether what is there and a file of a package are one file, or have
// the same content.
func (f forester) same(there *tree, from source) (bool, error) {
	if there.isFolder() {
		return false, nil
	}
	a, errA := follow(f.store, there.entry.Link[1:])
	b, errB := follow(f.store, from.real)
	if errors.Is(errA, fs.ErrNotExist) && errors.Is(errB, fs.ErrNotExist) {
		return f.sameLink(there.entry.Link[1:], from.real)
	}
	for _, err := range []error{errA, errB} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("comparing files of packages: %w", err)
		}
	}
	if errA != nil || errB != nil {
		return false, nil
	}
	if a.name == b.name {
		return true, nil
	}
	if !a.mode.IsRegular() || !b.mode.IsRegular() || a.size != b.size || (a.mode^b.mode)&0o100 != 0 {
		return false, nil
	}
	return f.sameBytes(a.name, b.name)
}

// sameLink compares links that lead out of the store, or nowhere.
func (f forester) sameLink(one, two string) (bool, error) {
	a, errA := f.store.lookup(one)
	b, errB := f.store.lookup(two)
	return errA == nil && errB == nil && a.link == b.link, nil
}

func (f forester) sameBytes(one, two string) (bool, error) {
	a, err := f.store.store.Open(one)
	if err != nil {
		return false, err
	}
	defer a.Close()
	b, err := f.store.store.Open(two)
	if err != nil {
		return false, err
	}
	defer b.Close()
	return equalReaders(a, b)
}

func equalReaders(a, b io.Reader) (bool, error) {
	bufA, bufB := make([]byte, 32<<10), make([]byte, 32<<10)
	for {
		n, errA := io.ReadFull(a, bufA)
		m, errB := io.ReadFull(b, bufB)
		if !bytes.Equal(bufA[:n], bufB[:m]) {
			return false, nil
		}
		if errA != nil || errB != nil {
			return ended(errA) && ended(errB), errors.Join(unlessEnded(errA), unlessEnded(errB))
		}
	}
}

func ended(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF }

func unlessEnded(err error) error {
	if ended(err) {
		return nil
	}
	return err
}
