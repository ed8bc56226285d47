package nixbuild

import (
	"errors"
	"github.com/org/nixery-action/internal/nix"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// storeOnDisk is a store in a directory of its own beside files of the machine.
func storeOnDisk(t *testing.T) (store fs.ReadLinkFS, dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, d := range []string{"store/" + base + "/bin", "store/.links", "store/" + other, "run"} {
		must(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	for _, f := range []string{"store/" + base + "/bin/app", "store/.links/host", "store/db.sqlite", "run/host"} {
		must(t, os.WriteFile(filepath.Join(dir, f), []byte(f), 0o644))
	}
	for link, target := range map[string]string{
		"up": "../../run", "host": filepath.Join(dir, "run"), "hostfile": filepath.Join(dir, "run/host"), "list": "..",
		"hidden": "../.links", "inside": "bin", "other": "../" + other,
	} {
		must(t, os.Symlink(target, filepath.Join(dir, "store", base, link)))
	}
	return NewStore(filepath.Join(dir, "store")), dir
}

var base, other = strings.Repeat("0", nix.HashLen) + "-app", strings.Repeat("1", nix.HashLen) + "-other"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestStoreReads(t *testing.T) {
	store, _ := storeOnDisk(t)
	if text, err := fs.ReadFile(store, "nix/store/"+base+"/bin/app"); err != nil || string(text) != "store/"+base+"/bin/app" {
		t.Errorf("got %q, %v", text, err)
	}
	children, err := fs.ReadDir(store, "nix/store/"+base)
	var names []string
	for _, c := range children {
		names = append(names, c.Name())
	}
	if want := "bin hidden host hostfile inside list other up"; err != nil || strings.Join(names, " ") != want {
		t.Errorf("got %q, %v, want %s", names, err, want)
	}
	if target, err := fs.ReadLink(store, "nix/store/"+base+"/inside"); err != nil || target != "bin" {
		t.Errorf("got %q, %v", target, err)
	}
	if info, err := fs.Lstat(store, "nix/store/"+base+"/up"); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("got %v, %v", info, err)
	}
}

// Nothing of the machine can be read by way of the store, by no link and by no name.
func TestStoreCannotBeLedOut(t *testing.T) {
	store, _ := storeOnDisk(t)
	in := "nix/store/" + base
	for _, name := range []string{
		".", "nix", "nix/store", "nix/store/.links", "nix/store/.links/host", "nix/store/db.sqlite", "run", "run/host", "etc",
		"nix/store/../run", "/run", "nix/storex/" + base,
		in + "/up", in + "/host", in + "/hostfile", in + "/list", in + "/hidden", in + "/inside", in + "/other",
		in + "/up/host", in + "/host/host", in + "/list/../run/host",
	} {
		if f, err := store.Open(name); err == nil {
			f.Close()
			t.Errorf("%s was opened", name)
		}
		if children, err := fs.ReadDir(store, name); err == nil {
			t.Errorf("%s was listed: %v", name, children)
		}
	}
}

// What was a file when the store was listed is not read as the link it has become.
func TestStoreDoesNotReadAFileThatBecameALink(t *testing.T) {
	store, dir := storeOnDisk(t)
	file := filepath.Join(dir, "store", base, "bin/app")
	must(t, os.Remove(file))
	must(t, os.Symlink("../bin/../../"+other, file))
	if _, err := fs.ReadFile(store, "nix/store/"+base+"/bin/app"); err == nil || !strings.Contains(err.Error(), "link") {
		t.Errorf("got %v", err)
	}
}

// Nix may be installed after the store was named.
func TestStoreThatComesLater(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	store := NewStore(dir)
	if _, err := fs.Lstat(store, "nix/store/"+base); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	must(t, os.MkdirAll(filepath.Join(dir, base), 0o755))
	if _, err := fs.Lstat(store, "nix/store/"+base); err != nil {
		t.Error(err)
	}
}
