package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/plainfile"
	"github.com/org/nixery-action/internal/scratch"
)

// Store is a [Store] with a file for each entry. Several processes may use one directory at once. It goes by names and not by the
// files' times: the clocks of the machines that share it need not agree. Only Remove removes anything.
type Store struct{ dir string }

// New returns a store in dir, which is made when something is saved.
func New(dir string) *Store { return &Store{dir} }

func (f *Store) String() string { return "directory " + f.dir }

// Newest implements [Store].
func (f *Store) Newest(ctx context.Context, scope cache.Scope) (cache.Entry, error) {
	if err := ctx.Err(); err != nil {
		return cache.Entry{}, err
	}
	files, err := os.ReadDir(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return cache.Entry{}, cache.ErrNotFound
	}
	if err != nil {
		return cache.Entry{}, cache.Failed(ctx, f.String(), cache.Finding, fileKind(err), err)
	}
	for i := len(files) - 1; i >= 0; i-- { // ReadDir sorts
		name, err := scope.Parse(files[i].Name())
		if err != nil || !files[i].Type().IsRegular() || name.String() != files[i].Name() {
			continue
		}
		return f.entry(name, files[i]), nil
	}
	return cache.Entry{}, cache.ErrNotFound
}

func (f *Store) entry(name cache.Name, file fs.DirEntry) cache.Entry {
	e := cache.Entry{Name: name, Size: -1}
	if stat, err := file.Info(); err == nil {
		e.Size = stat.Size()
	}
	e.Open = func(ctx context.Context) (io.ReadCloser, error) {
		file, err := plainfile.Open(f.path(name))
		if err != nil {
			return nil, cache.Failed(ctx, f.String(), cache.Reading, fileKind(err), err)
		}
		return file, nil
	}
	return e
}

// Save implements [Store].
func (f *Store) Save(ctx context.Context, name cache.Name, size int64, open func() (io.ReadCloser, error)) error {
	if err := name.Check(); err != nil {
		return cache.Failed(ctx, f.String(), cache.Saving, cache.Other, err)
	}
	if _, err := os.Lstat(f.path(name)); err == nil {
		return cache.ErrExists
	}
	err := f.save(ctx, name, size, open)
	if err == nil || errors.Is(err, cache.ErrExists) {
		return err
	}
	return cache.Failed(ctx, f.String(), cache.Saving, fileKind(err), err)
}

func (f *Store) save(ctx context.Context, name cache.Name, size int64, open func() (io.ReadCloser, error)) (err error) {
	if err := os.MkdirAll(f.dir, 0o777); err != nil {
		return err
	}
	scratch.Sweep(slog.New(slog.DiscardHandler), f.dir)
	temp, err := scratch.NewFile(f.dir)
	if err != nil {
		return err
	}
	// Its lock is held until it has its name: a sweep takes what is not locked for what a killed process left.
	defer func() { err = errors.Join(err, removeIfThere(temp.Name()), temp.Close()) }()
	err = cache.CopyAll(ctx, temp, size, open)
	if err == nil {
		// Content first, name second: a machine that loses power must not leave a name without content.
		err = temp.Sync()
	}
	if err != nil {
		return err
	}
	if err := temp.Chmod(0o644); err != nil {
		return err
	}
	return f.publish(temp.Name(), f.path(name))
}

// publish gives a finished file its name, unless the name is taken. A link is refused then, which a rename is not; but not
// every file system has links.
func (f *Store) publish(temp, path string) error {
	err := os.Link(temp, path)
	if errors.Is(err, fs.ErrExist) {
		return cache.ErrExists
	}
	if err != nil {
		if err := os.Rename(temp, path); err != nil {
			return err
		}
	}
	return syncDir(f.dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrInvalid) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing temporary file: %w", err)
	}
	return nil
}

func (f *Store) path(name cache.Name) string {
	return filepath.Join(f.dir, name.String())
}

func fileKind(err error) cache.Kind {
	if errors.Is(err, fs.ErrPermission) {
		return cache.Denied
	}
	return cache.Other
}
