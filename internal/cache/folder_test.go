package cache

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFolderIgnores puts things into the directory that are no entries, and that are newer than the entry.
func TestFolderIgnores(t *testing.T) {
	dir := t.TempDir()
	f, name := NewFolder(dir), Name{scope("a"), 5}
	save(t, f, name, "content")
	for _, file := range []string{".nixery-tmp-123", string(scope("a")), scope("a").prefix() + "9", strings.ToUpper(Name{scope("a"), 0xa}.String()), "zzz"} {
		if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(os.Mkdir(filepath.Join(dir, Name{scope("a"), 6}.String()), 0o700),
		os.Symlink("/etc/passwd", filepath.Join(dir, Name{scope("a"), 7}.String())))
	if err != nil {
		t.Fatal(err)
	}
	checkNewest(t, f, name, "content")
}

// TestFolderClock gives the older entry a time in the future.
func TestFolderClock(t *testing.T) {
	dir := t.TempDir()
	f, old, now := NewFolder(dir), Name{scope("a"), 9}, Name{scope("a"), 10}
	save(t, f, old, "old")
	save(t, f, now, "now")
	future := time.Now().Add(48 * time.Hour)
	if err := os.Chtimes(filepath.Join(dir, old.String()), future, future); err != nil {
		t.Fatal(err)
	}
	checkNewest(t, f, now, "now")
}

// TestFolderLeavesNothing looks for files of saves that went wrong.
func TestFolderLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	f := NewFolder(dir)
	for _, err := range []error{
		f.Save(t.Context(), Name{scope("a"), 1}, 5, opener("four")),
		f.Save(t.Context(), Name{"../escape", 1}, 4, opener("four")),
		f.Save(t.Context(), Name{scope("a"), 1}, 4, func() (io.ReadCloser, error) { return nil, errors.New("no source") }),
	} {
		var fault *StoreError
		if !errors.As(err, &fault) || fault.Kind != Other {
			t.Errorf("error is %v", err)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("%d files are left: %v", len(files), err)
	}
}

func TestFolderThatIsAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := newTestCache(NewFolder(path))
	use(t, c, "old", "new")
	c.checkLog(t, "not a directory")
}
