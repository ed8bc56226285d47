package dir

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/org/nixery-action/internal/cache"
)

// List implements [Inventory]. A directory that is not there has no entries.
func (f *Store) List(ctx context.Context) ([]cache.Kept, error) {
	all := []cache.Kept{}
	files, err := os.ReadDir(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, cache.Failed(ctx, f.String(), cache.Listing, fileKind(err), err)
	}
	for _, file := range files {
		name, ours := cache.ParseName(file.Name())
		if !ours || !file.Type().IsRegular() {
			continue
		}
		stat, err := file.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // another process tidies up, too
		}
		if err != nil {
			return nil, cache.Failed(ctx, f.String(), cache.Listing, fileKind(err), err)
		}
		all = append(all, cache.Kept{Name: name, Made: stat.ModTime(), Used: stat.ModTime(), Size: stat.Size()})
	}
	return all, ctx.Err()
}

// Remove implements [Inventory].
func (f *Store) Remove(ctx context.Context, entry cache.Kept) error {
	if err := entry.Name.Check(); err != nil {
		return cache.Failed(ctx, f.String(), cache.Removing, cache.Other, err)
	}
	if err := os.Remove(f.path(entry.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return cache.Failed(ctx, f.String(), cache.Removing, fileKind(err), err)
	}
	return nil
}
