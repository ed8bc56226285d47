//go:build e2e

package serve

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/org/nixery-action/internal/blobstore"
)

// A disk that is full makes a pull fail, and says so; what is there is served all the same, and nothing that is broken. As soon as there is
// room, the same pull works. It needs root, for a small disk of its own.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("store", dir, "tmpfs", 0, "size=5m"); err != nil {
		t.Fatalf("mounting a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	r, log := dirRegistry(t, dir)
	before := r.get("/v2/app/manifests/latest")
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		answer := r.do(http.MethodGet, "/v2/big/manifests/latest") // 3 MiB, where there are two
		if code, _, _ := answer.fault(t); answer.StatusCode != http.StatusServiceUnavailable || code != "UNAVAILABLE" {
			t.Errorf("%s: %s", answer.Status, answer.content)
		}
	}
	if !strings.Contains(log.String(), "no space left on device") {
		t.Errorf("the log does not say why: %s", log)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "uploads")); err != nil || len(left) != 0 {
		t.Errorf("%v is left (%v)", left, err)
	}
	wholeDir(t, dir)
	r.pullWhole(t, "app", before)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	r.pullWhole(t, "big", r.get("/v2/big/manifests/latest"))
	wholeDir(t, dir)
}

// wholeDir wants each blob in a store to have its digest.
func wholeDir(t *testing.T, dir string) {
	t.Helper()
	d, err := blobstore.Open(t.Context(), dir, blobstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	files, err := filepath.Glob(filepath.Join(dir, "blobs/sha256/*"))
	if err != nil || len(files) == 0 {
		t.Errorf("there are no blobs (%v)", err)
	}
	for _, file := range files {
		if err := readBlob(context.Background(), d, filepath.Base(file)); err != nil {
			t.Error(err)
		}
	}
}
