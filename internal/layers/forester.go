package layers

import (
	"fmt"
	"io/fs"
)

// maxLinkDepth bounds how often the forest looks through links that lead to
// folders, so that links in a circle end.
const maxLinkDepth = 8

// forester plants packages into one tree of links.
type forester struct{ store fs.FS }

// plant merges the folder source of the store into the folder at. Folders
// become real folders even if one package owns them; all else becomes a link
// to where it lies in the store.
func (f forester) plant(at *tree, source string) error { return f.merge(at, source, 0) }

func (f forester) merge(at *tree, source string, links int) error {
	children, err := fs.ReadDir(f.store, source)
	if err != nil {
		if info, statErr := fs.Stat(f.store, source); statErr == nil && !info.IsDir() {
			return nil // a package that is one file has nothing to link
		}
		return fmt.Errorf("linking packages: %w", err)
	}
	for _, child := range children {
		if err := f.place(at, child, join(source, child.Name()), links); err != nil {
			return err
		}
	}
	return nil
}

// place puts one thing of a package into at. What was there first stays; but
// where one of the two is a folder and the other a link to a folder, both are
// merged.
func (f forester) place(at *tree, child fs.DirEntry, source string, links int) error {
	there := at.children[child.Name()]
	if child.IsDir() {
		if there != nil && !there.isFolder() {
			if err := f.unfold(there, links); err != nil {
				return err
			}
		}
		if folder := at.folder(child.Name(), modeDir); folder != nil {
			return f.merge(folder, source, links)
		}
		return nil
	}
	if there == nil {
		at.add(child.Name(), Entry{Mode: modeLink, Link: "/" + source})
		return nil
	}
	if there.isFolder() && links < maxLinkDepth && f.leadsToFolder(source) {
		return f.merge(there, source, links+1)
	}
	return nil
}

// unfold makes a link that leads to a folder a real folder with the same content.
func (f forester) unfold(leaf *tree, links int) error {
	source := leaf.entry.Link[1:]
	if links >= maxLinkDepth || !f.leadsToFolder(source) {
		return nil
	}
	*leaf = *newFolder(leaf.entry.Name, modeDir)
	return f.merge(leaf, source, links+1)
}

func (f forester) leadsToFolder(source string) bool {
	info, err := fs.Stat(f.store, source)
	return err == nil && info.IsDir()
}
