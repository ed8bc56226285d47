package layers

import (
	"fmt"
	"io/fs"

	"github.com/org/nixery-action/internal/nix"
)

// maxLinkDepth bounds how often the forest looks through links that lead to
// folders, so that links in a circle end.
const maxLinkDepth = 8

// linkTree plants packages into one tree of links. Of the machine it reads
// nothing but the store paths of the closure.
type linkTree struct {
	store     storeTree
	conflicts *conflicts    // nil if they do not matter
	pkg       nix.StorePath // that is being planted
}

// source is a file of a package.
type source struct {
	link string // how the forest links to it: by the links of the package, without the first slash
	real string // the same without links on the way
}

func (s source) below(name string) source {
	real := join(s.real, name)
	if s.link == s.real { // most are, and then share their bytes
		return source{real, real}
	}
	return source{join(s.link, name), real}
}

// addPackage merges a package into the root. Folders become real folders even if one
// package owns them; all else becomes a link to where it lies in the store.
func (f linkTree) addPackage(root *tree, pkg nix.StorePath) error {
	f.pkg = pkg
	name := string(pkg[1:])
	if _, err := f.store.lookup(name); err != nil {
		return fmt.Errorf("linking packages: %w", err)
	}
	real, ok, err := f.store.directory(name)
	if err != nil {
		return fmt.Errorf("linking packages: %w", err)
	}
	if !ok {
		return nil // a package that is one file, or a link to none, has nothing to link
	}
	return f.merge(root, source{name, real}, 0)
}

func (f linkTree) merge(at *tree, from source, links int) error {
	children, err := f.store.list(from.real)
	if err != nil {
		return fmt.Errorf("linking packages: %w", err)
	}
	for _, child := range children {
		if err := f.place(at, child, from.below(child.Name()), links); err != nil {
			return err
		}
	}
	return nil
}

// place puts one thing of a package into at. What was there first stays; but
// where one of the two is a folder and the other a link to a folder, both are
// merged. A link that leads out of the store stays a link: what it leads to is
// another machine's.
func (f linkTree) place(at *tree, child fs.DirEntry, from source, links int) error {
	there := at.children[child.Name()]
	if child.IsDir() {
		if there != nil && !there.isDirectory() {
			if err := f.expand(there, links); err != nil {
				return err
			}
		}
		if folder := at.directory(child.Name(), modeDir); folder != nil {
			if folder.owner == "" {
				folder.owner = f.pkg
			}
			return f.merge(folder, from, links)
		}
		return f.conflict(there, from)
	}
	if there == nil {
		at.add(child.Name(), Entry{Mode: modeLink, Link: "/" + from.link})
		leaf := at.children[child.Name()]
		leaf.owner, leaf.source = f.pkg, from
		return nil
	}
	if there.isDirectory() && links < maxLinkDepth {
		real, ok, err := f.store.directory(from.real)
		if err != nil {
			return fmt.Errorf("linking packages: %w", err)
		}
		if ok {
			return f.merge(there, source{from.link, real}, links+1)
		}
	}
	return f.conflict(there, from)
}

// expand makes a link that leads to a folder a real folder with the same content.
func (f linkTree) expand(leaf *tree, links int) error {
	link := leaf.source.link
	if links >= maxLinkDepth {
		return nil
	}
	real, ok, err := f.store.directory(leaf.source.real)
	if err != nil {
		return fmt.Errorf("linking packages: %w", err)
	}
	if !ok {
		return nil
	}
	f.pkg = leaf.owner
	*leaf = *newDirectory(leaf.entry.Name, modeDir)
	leaf.owner = f.pkg
	return f.merge(leaf, source{link, real}, links+1)
}
