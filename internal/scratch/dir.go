// Package scratch holds what is on the disk for a while: temporary directories and files that are removed even after a process that
// was killed, and files that are replaced whole. Every temporary name of the program is made here, so that one sweep finds them all.
//
// A temporary directory or file belongs to a living process as long as that process holds its lock (flock). Locks end with
// processes, however these end, so neither process ids nor times are compared.
//
// It stands apart because destinations, caches, Nix and the server all need it; it imports no other package of this module.
package scratch

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const (
	dirPrefix  = "nixery-action-"
	filePrefix = ".nixery-tmp-"
)

// errSwept says that a sweep of another process took a directory or file that was not locked yet for one that was left behind.
var errSwept = errors.New("removed by a sweep before it was locked")

// Dir is a temporary directory of this process.
type Dir struct {
	path string
	lock *os.File
}

// NewDir creates a directory below parent, the system's directory for temporary files if that is empty. The caller closes it.
func NewDir(parent string) (*Dir, error) { return newDir(place(parent), dirPrefix) }

// NewHiddenDir creates a directory beside what will be put in place from it. The caller closes it.
func NewHiddenDir(parent string) (*Dir, error) { return newDir(place(parent), filePrefix) }

func newDir(parent, prefix string) (*Dir, error) {
	for {
		path := filepath.Join(parent, prefix+rand.Text())
		if err := os.Mkdir(path, 0o700); err != nil {
			return nil, fmt.Errorf("creating a temporary directory: %w", err)
		}
		lock, err := openLocked(path, syscall.O_DIRECTORY)
		if err == nil || lockless(err) {
			return &Dir{path, lock}, nil
		}
		if !errors.Is(err, errSwept) {
			return nil, errors.Join(fmt.Errorf("creating a temporary directory: %w", err), os.Remove(path))
		}
	}
}

// Path returns the directory's path.
func (d *Dir) Path() string { return d.path }

// Close removes the directory with all that it contains.
func (d *Dir) Close() error {
	err := os.RemoveAll(d.path)
	if d.lock != nil {
		err = errors.Join(err, d.lock.Close())
	}
	return err
}

// openLocked opens and locks what path names, and not what it links to. It waits for nothing: neither for a lock nor for a FIFO.
// The error is errSwept if another process was faster.
func openLocked(path string, flags int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|flags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errSwept
	}
	if err != nil {
		return nil, err
	}
	if err := lock(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// lock locks an open file, and verifies that its name is still its own.
func lock(file *os.File) error {
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errSwept
	}
	if err != nil {
		return fmt.Errorf("locking %s: %w", file.Name(), err)
	}
	locked, err := file.Stat()
	if err != nil {
		return err
	}
	named, err := os.Lstat(file.Name())
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(locked, named) {
		return errSwept
	}
	return err
}

// lockless reports whether an error says that the file system has no locks. No sweep gets a lock there, and so removes nothing.
func lockless(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.ENOLCK)
}

func place(dir string) string {
	if dir == "" {
		return os.TempDir()
	}
	return dir
}
