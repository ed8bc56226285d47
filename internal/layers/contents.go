package layers

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/org/nixery-action/internal/nix"
)

// Contents is the files of an image as a container sees them: the root layer
// over the store paths of the closure. It reads names and links only, and no
// byte of a layer depends on it.
type Contents struct {
	store     storeTree
	root      *tree
	conflicts conflicts
}

// NewContents returns the contents of an image of these packages; see [NewPacker]
// for the store.
func NewContents(store fs.FS, packages []nix.StorePath, closure nix.Closure) (*Contents, error) {
	packages = sortedByName(packages)
	c := &Contents{store: newStoreTree(store, packages, closure)}
	c.conflicts.byPair = map[[2]nix.StorePath]*Conflict{}
	var err error
	c.root, err = linkPackages(c.store, packages, &c.conflicts)
	return c, err
}

// Conflicts returns the files of packages that are hidden by those of others, one
// value for each pair of packages.
func (c *Contents) Conflicts() []Conflict {
	all := make([]Conflict, len(c.conflicts.all))
	for i, one := range c.conflicts.all {
		all[i] = *one
		slices.Sort(all[i].Names)
	}
	return all
}

// Mode returns the mode of the file that an absolute name leads to; the error is
// [fs.ErrNotExist] if the image has none.
func (c *Contents) Mode(name string) (fs.FileMode, error) {
	at, err := follow(c, name)
	return at.mode, err
}

// Names returns the names in a directory, sorted; none if the image has no such directory.
func (c *Contents) Names(dir string) ([]string, error) {
	at, err := follow(c, dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !at.mode.IsDir() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	if _, inside := c.store.pathOf(at.name); inside {
		children, err := c.store.list(at.name)
		for _, child := range children {
			names = append(names, child.Name())
		}
		return names, err
	}
	if t := c.node(at.name); t != nil {
		names = slices.Sorted(maps.Keys(t.children))
	}
	return names, nil
}

// ReadFile returns the content of a file of at most limit bytes.
func (c *Contents) ReadFile(name string, limit int64) ([]byte, error) {
	at, err := follow(c, name)
	if err != nil {
		return nil, err
	}
	if !at.mode.IsRegular() {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrInvalid)
	}
	var f io.ReadCloser
	if t := c.node(at.name); t != nil {
		f, err = t.entry.Open()
	} else {
		f, err = c.store.store.Open(at.name)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s: it is larger than %d bytes", name, limit)
	}
	return data, err
}

// lookup implements fileTree. Directories of the store are above the root layer's.
func (c *Contents) lookup(name string) (inode, error) {
	if n, err := c.store.lookup(name); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return n, err
	}
	t := c.node(name)
	if t == nil {
		return inode{}, fs.ErrNotExist
	}
	return inode{t.entry.Mode, t.entry.Link, t.entry.Size}, nil
}

// node returns what the root layer has under a name; nil if nothing.
func (c *Contents) node(name string) *tree {
	at := c.root
	for step := range strings.SplitSeq(name, "/") {
		if step == "" {
			continue
		}
		if at = at.children[step]; at == nil {
			return nil
		}
	}
	return at
}
