//go:build e2e

package blobstore

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A disk that is full takes nothing more, and gives back what it has. It needs root, for a small disk of its own.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("store", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatalf("mounting a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	d, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	small, large := strings.Repeat("s", 50<<10), strings.Repeat("l", 300<<10)
	digest := put(t, d, "x/y", small).Digest
	_, err = d.Put(t.Context(), hashOf(large), "x/y", strings.NewReader(large))
	if !errors.As(err, new(*StorageError)) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error is %v", err)
	}
	noTempFiles(t, d)
	if got, err := read(t, d, digest, 0, -1); err != nil || got != small {
		t.Errorf("%d bytes came back: %v", len(got), err)
	}
	if _, err := d.Stat(t.Context(), hashOf(large)); !errors.Is(err, ErrNotFound) {
		t.Errorf("half of a blob is there: %v", err)
	}
	put(t, d, "x/y", "a little more")
}

// A disk on which a file can still be made, but not written, is not ready; and is again when there is room.
func TestReadyOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("store", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatalf("mounting a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	directory, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := Open(t.Context(), "mem://", Options{TempDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(dir, "filler")
	for name, d := range map[string]*Store{"directory": directory, "uploads to a bucket": bucket} {
		if err := d.Ready(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.WriteFile(filler, make([]byte, 300<<10), 0o600); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("filling the disk: %v", err)
		}
		if err := d.Ready(t.Context()); !errors.As(err, new(*StorageError)) || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: on a full disk: %v", name, err)
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		if err := d.Ready(t.Context()); err != nil {
			t.Errorf("%s: when there is room again: %v", name, err)
		}
	}
	noTempFiles(t, directory)
}
