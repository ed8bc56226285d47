package cache

import (
	"context"
	"errors"
	"io/fs"
	"os"
)

// List implements [Inventory]. A directory that is not there has no entries.
func (f *Folder) List(ctx context.Context) ([]Kept, error) {
	all := []Kept{}
	files, err := os.ReadDir(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, failed(ctx, f.String(), listingEntries, fileKind(err), err)
	}
	for _, file := range files {
		name, ours := parseName(file.Name())
		if !ours || !file.Type().IsRegular() {
			continue
		}
		stat, err := file.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // another process tidies up, too
		}
		if err != nil {
			return nil, failed(ctx, f.String(), listingEntries, fileKind(err), err)
		}
		all = append(all, Kept{Name: name, Made: stat.ModTime(), Used: stat.ModTime(), Size: stat.Size()})
	}
	return all, ctx.Err()
}

// Remove implements [Inventory].
func (f *Folder) Remove(ctx context.Context, entry Kept) error {
	if err := entry.Name.check(); err != nil {
		return failed(ctx, f.String(), removingEntry, Other, err)
	}
	if err := os.Remove(f.path(entry.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failed(ctx, f.String(), removingEntry, fileKind(err), err)
	}
	return nil
}
