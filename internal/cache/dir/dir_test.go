package dir

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/cache/cachetest"
)

// TestDirIgnores puts things into the directory that are no entries, and that are newer than the entry.
func TestDirIgnores(t *testing.T) {
	dir := t.TempDir()
	f, name := New(dir), cache.Name{Scope: cachetest.Scope("a"), Serial: 5}
	cachetest.Save(t, f, name, "content")
	for _, file := range []string{".nixery-tmp-123", string(cachetest.Scope("a")), cachetest.Scope("a").Prefix() + "9", strings.ToUpper(cache.Name{Scope: cachetest.Scope("a"), Serial: 0xa}.String()), "zzz"} {
		if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(os.Mkdir(filepath.Join(dir, cache.Name{Scope: cachetest.Scope("a"), Serial: 6}.String()), 0o700),
		os.Symlink("/etc/passwd", filepath.Join(dir, cache.Name{Scope: cachetest.Scope("a"), Serial: 7}.String())))
	if err != nil {
		t.Fatal(err)
	}
	cachetest.CheckNewest(t, f, name, "content")
}

// TestDirClock gives the older entry a time in the future.
func TestDirClock(t *testing.T) {
	dir := t.TempDir()
	f, old, now := New(dir), cache.Name{Scope: cachetest.Scope("a"), Serial: 9}, cache.Name{Scope: cachetest.Scope("a"), Serial: 10}
	cachetest.Save(t, f, old, "old")
	cachetest.Save(t, f, now, "now")
	future := time.Now().Add(48 * time.Hour)
	if err := os.Chtimes(filepath.Join(dir, old.String()), future, future); err != nil {
		t.Fatal(err)
	}
	cachetest.CheckNewest(t, f, now, "now")
}

// TestDirLeavesNothing looks for files of saves that went wrong.
func TestDirLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	f := New(dir)
	for _, err := range []error{
		f.Save(t.Context(), cache.Name{Scope: cachetest.Scope("a"), Serial: 1}, 5, cachetest.Opener("four")),
		f.Save(t.Context(), cache.Name{Scope: "../escape", Serial: 1}, 4, cachetest.Opener("four")),
		f.Save(t.Context(), cache.Name{Scope: cachetest.Scope("a"), Serial: 1}, 4, func() (io.ReadCloser, error) { return nil, errors.New("no source") }),
	} {
		var fault *cache.StoreError
		if !errors.As(err, &fault) || fault.Kind != cache.Other {
			t.Errorf("error is %v", err)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("%d files are left: %v", len(files), err)
	}
}

func TestDirThatIsAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := cachetest.NewTestCache(New(path))
	cachetest.Use(t, c, "old", "new")
	c.CheckLog(t, "not a directory")
}

func TestDirInventory(t *testing.T) {
	dir := t.TempDir()
	directory := New(dir)
	name := cache.Name{Scope: cachetest.Scope("a"), Serial: 3}
	cachetest.Save(t, directory, name, "content")
	var others []string
	for _, other := range cachetest.LookAlikes() {
		if other != "" {
			others = append(others, other)
			if err := os.WriteFile(filepath.Join(dir, other), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	link := cache.Name{Scope: cachetest.Scope("b"), Serial: 1}.String()
	others = append(others, link)
	if err := os.Symlink("elsewhere", filepath.Join(dir, link)); err != nil {
		t.Fatal(err)
	}
	all, err := directory.List(t.Context())
	if err != nil || !slices.Equal(cachetest.Names(all), []string{name.String()}) || all[0].Size != 7 || time.Since(all[0].Made) > time.Hour {
		t.Fatalf("%+v, %v", all, err)
	}
	for range 2 {
		if err := directory.Remove(t.Context(), all[0]); err != nil {
			t.Error(err)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != len(others) {
		t.Errorf("%v is left, want %q (%v)", left, others, err)
	}
	if err := directory.Remove(t.Context(), cache.Kept{Name: cache.Name{Scope: "../x", Serial: 1}}); err == nil {
		t.Error("a path passes for a name")
	}
	if all, err := New(filepath.Join(dir, "none")).List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("without a directory: %v, %v", all, err)
	}
}
