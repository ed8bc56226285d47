package nixinstall

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// room is a /nix that was empty, and is ours until the end of the installation.
type room struct {
	dir  string
	made bool           // by us: not there before
	undo []func() error // of what was changed elsewhere
}

// enter makes dir, by sudo if need be, and claims it.
func enter(ctx context.Context, dir string) (*room, error) {
	if err := mustBeEmpty(dir); err != nil {
		return nil, err
	}
	r := &room{dir: dir}
	err := r.claim()
	if errors.Is(err, fs.ErrPermission) {
		if err := bySudo(ctx, dir); err != nil {
			return nil, err
		}
		err = r.claim()
	}
	if err != nil {
		return nil, fmt.Errorf("making %s: %w", dir, err)
	}
	return r, nil
}

// mustBeEmpty refuses a /nix that this run did not create. A volume
// of its own has a directory lost+found.
func mustBeEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.Name() == "lost+found" })
	if len(entries) > 0 {
		return fmt.Errorf("there is no Nix, but %s has %q in it, and is left alone: remove what is there, or install Nix in a step before", dir, entries[0].Name())
	}
	return nil
}

// claim fails if another installation is under way.
func (r *room) claim() error {
	err := os.Mkdir(r.dir, 0o755)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	r.made = err == nil
	return os.Mkdir(r.staging(), 0o755)
}

// staging is where files become complete, on the file system of the store.
func (r *room) staging() string { return filepath.Join(r.dir, ".nixery-action") }

func (r *room) store() string { return filepath.Join(r.dir, "store") }

// leave removes what is not needed, and if nothing came of it, everything.
func (r *room) leave(done bool) error {
	if done {
		return removeAll(r.staging())
	}
	var errs []error
	for _, undo := range slices.Backward(r.undo) {
		errs = append(errs, undo())
	}
	for _, dir := range []string{r.staging(), r.store(), filepath.Join(r.dir, "var")} {
		errs = append(errs, removeAll(dir))
	}
	if r.made {
		errs = append(errs, os.Remove(r.dir))
	}
	return errors.Join(errs...)
}

// removeAll also removes directories that may not be written, such as the store's.
func removeAll(dir string) error {
	_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(name, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// bySudo makes dir, and gives it to who we are. -n asks for no
// password, which could not be given.
func bySudo(ctx context.Context, dir string) error {
	user, group := strconv.Itoa(os.Getuid()), strconv.Itoa(os.Getgid())
	err := run(ctx, nil, "sudo", "-n", "install", "-d", "-m", "755", "-o", user, "-g", group, dir)
	if err != nil {
		return fmt.Errorf("making %s takes root, or a sudo that asks for no password: %w", dir, err)
	}
	return nil
}
