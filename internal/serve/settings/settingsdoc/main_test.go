package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const page = "../../../../docs/serve.md"

// The table of the page is that of the program.
func TestFresh(t *testing.T) {
	want, err := update(page)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/serve.md is stale: run make generate")
	}
}

func TestUpdateKeepsProse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(file, []byte("before\n"+begin+"OUTDATED\n"+end+"after\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	text, err := update(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"before\n" + begin, "| `--port` NUMBER | `PORT` | `8080` |", "|  | `STORAGE_PATH` |  |", "| `--redirect` |", end + "after\n"} {
		if !strings.Contains(string(text), part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
	if strings.Contains(string(text), "OUTDATED") {
		t.Error("the old table is still there")
	}
}

func TestUpdateOfAnotherPage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(file, []byte("no table"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := update(file); err == nil || !strings.Contains(err.Error(), "has no part for the table") {
		t.Errorf("error is %v", err)
	}
}
