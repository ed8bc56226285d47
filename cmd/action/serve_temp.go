package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// serverFolder is a server's own folder for what it needs for a while. Links that keep packages from Nix's garbage collector lie
// there, and would do so for ever after a server that was killed. It belongs to a living process as long as it is locked; locks
// end with processes, however these do.
type serverFolder struct {
	path string
	lock *os.File
	log  *slog.Logger
}

const serverPrefix = "nixery-serve-"

// errSwept says that another server took a folder that was not locked yet for one that was left behind.
var errSwept = errors.New("the folder was removed as soon as it was there")

// openServerFolder makes a folder in dir, the system's if that is empty, and removes those of dead servers. The caller closes it.
func openServerFolder(dir string, log *slog.Logger) (*serverFolder, error) {
	if dir == "" {
		dir = os.TempDir()
	}
	sweepServers(dir, log)
	for {
		f, err := newServerFolder(dir, log)
		if !errors.Is(err, errSwept) {
			return f, err
		}
	}
}

func newServerFolder(dir string, log *slog.Logger) (*serverFolder, error) {
	path, err := os.MkdirTemp(dir, serverPrefix)
	if err != nil {
		return nil, fmt.Errorf("making a folder for links and uploads: %w", err)
	}
	lock, err := lockFolder(path)
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, fs.ErrNotExist) {
		return nil, errSwept
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	if _, err := os.Stat(path); err != nil {
		return nil, errors.Join(errSwept, lock.Close())
	}
	return &serverFolder{path, lock, log}, nil
}

// lockFolder does not wait, neither for a lock nor for what is no folder.
func lockFolder(path string) (*os.File, error) {
	folder, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), folder.Close())
	}
	return folder, nil
}

// sweepServers leaves what it cannot remove: it may be another user's.
func sweepServers(dir string, log *slog.Logger) {
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if !entry.IsDir() || !strings.HasPrefix(entry.Name(), serverPrefix) {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		lock, err := lockFolder(path)
		if err != nil {
			continue
		}
		if err := os.RemoveAll(path); err == nil {
			log.Info("removed what a server that was killed has left", "folder", path)
		}
		_ = lock.Close()
	}
}

// Close removes the folder. It looks for dead ones once more: a Nix that goes on after its server was killed makes its links when it
// is done, and the folder for them with it.
func (f *serverFolder) Close() error {
	err := errors.Join(os.RemoveAll(f.path), f.lock.Close())
	sweepServers(filepath.Dir(f.path), f.log)
	return err
}
