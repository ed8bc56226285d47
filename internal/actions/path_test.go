package actions

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAddPath(t *testing.T) {
	file := filepath.Join(t.TempDir(), "path")
	for _, dir := range []string{"/a/bin", "/b c/bin"} {
		if err := AddPath(file, dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := AddPath(file, "/d\n/e"); err == nil {
		t.Error("one call adds two directories")
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "/a/bin\n/b c/bin\n" {
		t.Errorf("the runner reads %q, %v", text, err)
	}
}
