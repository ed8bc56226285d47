package layers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/org/nixery-action/internal/nix"
)

// maxConflictNames is how many names of one pair of packages are kept.
const maxConflictNames = 8

// Conflict is the files that two packages have under the same names with
// different content. Where one is a directory and the other is not, all of Left's
// is missing in the image.
type Conflict struct {
	Used, Left nix.StorePath
	Names      []string // some of them, sorted, relative to the image's root
	More       bool     // whether more names may exist
}

// conflicts collects conflicts in the order in which they are found.
type conflicts struct {
	all    []*Conflict
	byPair map[[2]nix.StorePath]*Conflict
}

// conflict notes that a file of the package is left out of the image, unless it is
// the same as the file that is used.
func (f linkTree) conflict(there *tree, from source) error {
	if f.conflicts == nil || there.owner == f.pkg || strings.HasPrefix(there.entry.Name, "nix-support/") {
		return nil // nix-support is for builds of other packages, and many have it
	}
	pair := [2]nix.StorePath{there.owner, f.pkg}
	c := f.conflicts.byPair[pair]
	if c != nil && c.More {
		return nil
	}
	if same, err := f.same(there, from); err != nil {
		return fmt.Errorf("comparing files of packages: %w", err)
	} else if same {
		return nil
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

// same reports whether a leaf of the tree and a file of a package are one file, or
// have the same content.
func (f linkTree) same(there *tree, from source) (bool, error) {
	if there.isDirectory() {
		return false, nil
	}
	if same, err := f.sameLink(there.source.real, from.real); same || err != nil {
		return same, err
	}
	a, okA, errA := f.end(there.source)
	b, okB, errB := f.end(from)
	switch {
	case errA != nil || errB != nil:
		return false, errors.Join(errA, errB)
	case !okA || !okB:
		return false, nil
	case a.name == b.name:
		return true, nil
	case !a.mode.IsRegular() || !b.mode.IsRegular() || a.size != b.size || (a.mode^b.mode)&0o100 != 0:
		return false, nil
	}
	return f.sameBytes(a.name, b.name)
}

// sameLink reports whether two names are links to the same absolute name, whether
// or not that exists. Most files that packages share need no further look.
func (f linkTree) sameLink(one, two string) (bool, error) {
	a, err := f.store.lookup(one)
	if err != nil || !path.IsAbs(a.link) {
		return false, err
	}
	b, err := f.store.lookup(two)
	return a.link == b.link, err
}

// end returns the file that a source leads to; false if it leads nowhere, or out.
func (f linkTree) end(s source) (found, bool, error) {
	at, err := follow(f.store, s.real)
	if errors.Is(err, fs.ErrNotExist) {
		return found{}, false, nil
	}
	return at, err == nil, err
}

func (f linkTree) sameBytes(one, two string) (bool, error) {
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
