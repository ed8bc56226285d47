package nixinstall

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

func TestKeep(t *testing.T) {
	archive := pack(t, release())
	longer := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(archive)+100))
		_, _ = w.Write(append(bytes.Clone(archive), "more"...))
	}
	m := serve(t, archive, longer)
	i := m.installer(t)
	i.Keep = filepath.Join(t.TempDir(), "tools/nixery-action")
	install := func(requests int) {
		t.Helper()
		if _, err := i.Install(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := removeAll(i.root); err != nil {
			t.Fatal(err)
		}
		if m.count() != requests {
			t.Errorf("%d requests, want %d", m.count(), requests)
		}
		entries, err := os.ReadDir(i.Keep)
		if err != nil || len(entries) != 1 || entries[0].Name() != "nix-9.9-x86_64-linux.tar.xz" {
			t.Errorf("kept are %v, %v", entries, err)
		}
	}
	install(2) // a first answer was longer, and cut
	install(2) // the second needs no network

	// What is kept is verified like a download.
	kept := i.keptFile()
	if err := os.Remove(kept); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(kept, append([]byte("x"), m.archive...), 0o644); err != nil {
		t.Fatal(err)
	}
	install(3)
	install(3)
}

// A directory that cannot be written is no reason to fail.
func TestKeepNowhere(t *testing.T) {
	m := serve(t, pack(t, release()))
	i := m.installer(t)
	i.Keep = "/dev/null/tools"
	if _, err := i.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(i.TempDir); err != nil || len(left) > 0 {
		t.Errorf("%v, %v are left", left, err)
	}
}
