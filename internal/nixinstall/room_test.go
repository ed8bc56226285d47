package nixinstall

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeSudo puts a sudo on PATH that does what it is asked for.
func fakeSudo(t *testing.T, text string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sudo"), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestBySudo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nix")
	fakeSudo(t, `[ "$1" = -n ] && shift && exec "$@"`)
	if err := bySudo(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	made, err := os.Stat(dir)
	if err != nil || !made.IsDir() || made.Mode().Perm() != 0o755 {
		t.Errorf("made %v, %v", made, err)
	}
}

func TestBySudoThatAsks(t *testing.T) {
	fakeSudo(t, "echo 'sudo: a password is required' >&2; exit 1\n")
	err := bySudo(t.Context(), "/nix")
	if err == nil || !strings.Contains(err.Error(), "making /nix takes root, or a sudo that asks for no password: sudo: exit status 1\nsudo: a password is required") {
		t.Errorf("got %v", err)
	}
}

func TestWithoutSudo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := bySudo(t.Context(), "/nix")
	if err == nil || !strings.Contains(err.Error(), "making /nix takes root") || strings.Contains(err.Error(), "Nix is not on this machine") {
		t.Errorf("got %v", err)
	}
}

// Two installations at a time do not mix.
func TestOneAtATime(t *testing.T) {
	first := &room{dir: filepath.Join(t.TempDir(), "nix")}
	if err := first.claim(); err != nil {
		t.Fatal(err)
	}
	if err := (&room{dir: first.dir}).claim(); !os.IsExist(err) {
		t.Errorf("got %v", err)
	}
}

func TestConfigure(t *testing.T) {
	for name, tc := range map[string]struct{ old, want string }{
		"no file":        {"", noBuildUsers},
		"other settings": {"max-jobs = 4\n", "max-jobs = 4\n" + noBuildUsers},
		"no line end":    {"max-jobs = 4", "max-jobs = 4\n" + noBuildUsers},
		"set":            {"build-users-group = builders\n", "build-users-group = builders\n"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "etc/nix.conf")
			if tc.old != "" {
				if err := os.Mkdir(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(tc.old), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			r := &room{dir: t.TempDir()}
			if err := r.configure(file); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(file); err != nil || string(got) != tc.want {
				t.Errorf("got %q, %v, want %q", got, err, tc.want)
			}
			if err := r.leave(false); err != nil && !strings.Contains(err.Error(), "not empty") {
				t.Error(err)
			}
			if got, _ := os.ReadFile(file); string(got) != tc.old {
				t.Errorf("undone it is %q, want %q", got, tc.old)
			}
		})
	}
}

func TestFind(t *testing.T) {
	root, home := t.TempDir(), t.TempDir()
	if bin, ok := find(root, home); ok {
		t.Fatalf("found %s", bin)
	}
	for _, place := range []string{
		filepath.Join(home, ".local/state/nix/profile/bin"),
		filepath.Join(home, ".nix-profile/bin"),
		filepath.Join(root, "var/nix/profiles/default/bin"),
	} {
		if err := os.MkdirAll(place, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(place, "nix-store"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if bin, _ := find(root, home); bin == place {
			t.Errorf("%s has no program, and was found", bin)
		}
		if err := os.Chmod(filepath.Join(place, "nix-store"), 0o755); err != nil {
			t.Fatal(err)
		}
		if bin, ok := find(root, home); !ok || bin != place {
			t.Errorf("found %q, %v, want %s", bin, ok, place)
		}
	}
	if bin, ok := find(t.TempDir(), ""); ok {
		t.Error(fmt.Sprint("without a home: found ", bin))
	}
}
