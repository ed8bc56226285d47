//go:build e2e

package depot

import (
	"errors"
	"strings"
	"syscall"
	"testing"
)

// A disk that is full takes nothing more, and gives back what it has. It needs root, for a small disk of its own.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("depot", dir, "tmpfs", 0, "size=256k"); err != nil {
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
	noSpools(t, d)
	if got, err := read(t, d, digest, 0, -1); err != nil || got != small {
		t.Errorf("%d bytes came back: %v", len(got), err)
	}
	if _, err := d.Stat(t.Context(), hashOf(large)); !errors.Is(err, ErrNotFound) {
		t.Errorf("half of a blob is there: %v", err)
	}
	put(t, d, "x/y", "a little more")
}
