package nixbuild

import (
	"context"
	"github.com/org/nixery-action/internal/nix"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeRunner answers by a function, and remembers what it was asked.
type fakeRunner struct {
	answer func(args []string) ([]byte, error)
	calls  [][]string
}

func (f *fakeRunner) Run(_ context.Context, args ...string) ([]byte, error) {
	f.calls = append(f.calls, args)
	return f.answer(args)
}

// versions are those whose output is in testdata/recorded.
var versions = []string{"nix-2.8", "nix-2.26"}

func recorded(t *testing.T, version, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "testdata", "recorded", version, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// failing is the error of a program that printed what was recorded.
func failing(t *testing.T, version, name string) *ExitError {
	t.Helper()
	text := strings.TrimSuffix(recorded(t, version, name), "\n")
	return &ExitError{Program: "nix", Status: "exit status 1", Stderr: strings.Split(text, "\n")}
}

func mustContain(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
}

// fakePath makes a well-formed store path of a name.
func fakePath(name string) nix.StorePath {
	hash := strings.Map(func(r rune) rune {
		if strings.ContainsRune("etou-._", r) {
			return 'x'
		}
		return r
	}, name+strings.Repeat("0", nix.HashLen))
	return nix.StorePath(nix.StoreDir + "/" + hash[:nix.HashLen] + "-" + name)
}
