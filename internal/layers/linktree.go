package layers

import (
	"fmt"
	"io/fs"

	"github.com/org/nixery-action/internal/nix"
)

// maxLinkDepth bounds how many links to directories are expanded, one inside the
// other, so that links in a circle end.
const maxLinkDepth = 8

// linkTree merges packages into one tree of links, as nixpkgs' symlinkJoin does.
// It reads only store paths of the closure.
//
//	git/bin/git, git/share/man/man1/git.1  ▶  bin/git            → /nix/store/…-git/bin/git
//	vim/bin/vim, vim/share/man → …-man/man     bin/vim            → /nix/store/…-vim/bin/vim
//	                                           share/man/man1/…   the directories of both, merged
type linkTree struct {
	store     storeTree
	conflicts *conflicts    // nil if they are not collected
	pkg       nix.StorePath // the package that is being merged
}

// source is a file of a package.
type source struct {
	link string // the target of links to it, by the package's own links, without the first slash
	real string // the same file, without a link on the way
}

func (s source) below(name string) source {
	real := join(s.real, name)
	if s.link == s.real { // most are, and then share their bytes
		return source{real, real}
	}
	return source{join(s.link, name), real}
}

// addPackage merges a package into the root. Directories become real directories,
// even if only one package has them; all else becomes a link into the store.
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

// place adds child, an entry of the package's directory, to at. Of two entries of
// one name the first is kept; but if one is a directory and the other a directory
// or a link to one, both are merged. A link that leads out of the store stays a
// link.
func (f linkTree) place(at *tree, child fs.DirEntry, from source, links int) error {
	there := at.children[child.Name()]
	if child.IsDir() {
		if there != nil && !there.isDirectory() {
			if err := f.expand(there, links); err != nil {
				return err
			}
		}
		if dir := at.directory(child.Name(), modeDir); dir != nil {
			if dir.owner == "" {
				dir.owner = f.pkg
			}
			return f.merge(dir, from, links)
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

// expand replaces a link that leads to a directory by a directory with the same
// content. Other links stay.
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
