package scratch

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
)

// ours matches the whole of a name that this package gives: a directory that a user calls nixery-action-something is not ours.
var ours = regexp.MustCompile(`^(nixery-action-|\.nixery-tmp-)[A-Z2-7]{26}$`)

// Sweep removes, from the directories, what processes that were killed have left there: what has a name of ours, belongs to this
// user, and is locked by no process. It follows no link, waits for no lock, and leaves what it cannot remove.
// An empty name is the system's directory for temporary files.
func Sweep(log *slog.Logger, dirs ...string) {
	done := map[string]bool{}
	for _, dir := range dirs {
		dir = filepath.Clean(place(dir))
		if !done[dir] {
			done[dir] = true
			sweep(log, dir)
		}
	}
}

func sweep(log *slog.Logger, dir string) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return
	}
	defer root.Close()
	entries, _ := fs.ReadDir(root.FS(), ".")
	for _, entry := range entries {
		if !ours.MatchString(entry.Name()) || !entry.IsDir() && !entry.Type().IsRegular() {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		if !own(root, entry.Name()) {
			continue
		}
		lock, err := openLocked(path, 0)
		if err != nil {
			continue
		}
		if err := root.RemoveAll(entry.Name()); err == nil {
			log.Info("removed what a run that was killed had left", "path", path)
		} else {
			log.Debug("a run that was killed left what cannot be removed", "path", path, "cause", err)
		}
		_ = lock.Close()
	}
}

// own reports whether an entry belongs to this process's user.
func own(root *os.Root, name string) bool {
	entry, err := root.Lstat(name)
	if err != nil {
		return false
	}
	stat, ok := entry.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}
