package nixinstall

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/org/nixery-action/internal/nixbuild"
)

// machine is a Runner that finds Nix's programs once they are installed.
type machine struct {
	mu        sync.Mutex
	installed bool
	tries     int
	fault     error
}

func (m *machine) Run(_ context.Context, args ...string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if strings.HasPrefix(args[0], "nix") && !m.installed {
		return nil, fmt.Errorf("running %s: %w", args[0], nixbuild.ErrNoNix)
	}
	return []byte(strings.Join(args, " ")), nil
}

func (m *machine) obtain(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tries++
	m.installed = m.fault == nil
	return m.fault
}

func TestRunnerInstallsOnce(t *testing.T) {
	m := &machine{}
	r := NewRunner(m, m.obtain)
	if out, err := r.Run(t.Context(), "git", "ls-remote"); err != nil || string(out) != "git ls-remote" || m.tries != 0 {
		t.Errorf("git gave %q, %v, and %d installations", out, err, m.tries)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if out, err := r.Run(t.Context(), "nix-store", "--version"); err != nil || string(out) != "nix-store --version" {
				t.Errorf("got %q, %v", out, err)
			}
		})
	}
	group.Wait()
	if m.tries != 1 {
		t.Errorf("%d installations", m.tries)
	}
}

func TestRunnerTriesOnce(t *testing.T) {
	m := &machine{fault: errors.New("no space")}
	r := NewRunner(m, m.obtain)
	for range 2 {
		_, err := r.Run(t.Context(), "nix-build")
		if !errors.Is(err, m.fault) || !errors.Is(err, nixbuild.ErrNoNix) {
			t.Errorf("got %v", err)
		}
		if !strings.HasPrefix(err.Error(), "no space\nNix is not on this machine; ") {
			t.Errorf("the error is %q", err)
		}
	}
	if m.tries != 1 {
		t.Errorf("%d installations", m.tries)
	}
}

// What a cancelled context ended says nothing about the next call.
func TestRunnerCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := &machine{fault: context.Canceled}
	r := NewRunner(m, m.obtain)
	if _, err := r.Run(ctx, "nix-build"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	m.fault = nil
	if _, err := r.Run(t.Context(), "nix-build"); err != nil {
		t.Error(err)
	}
}

func TestPinned(t *testing.T) {
	for system, want := range map[string]string{
		"linux/amd64":  "https://releases.nixos.org/nix/nix-" + Version + "/nix-" + Version + "-x86_64-linux.tar.xz",
		"linux/arm64":  "https://releases.nixos.org/nix/nix-" + Version + "/nix-" + Version + "-aarch64-linux.tar.xz",
		"darwin/arm64": "",
		"linux/s390x":  "",
	} {
		goos, goarch, _ := strings.Cut(system, "/")
		a, err := Pinned(goos, goarch)
		if (err == nil) != (want != "") || err == nil && (a.where() != want || len(a.SHA256) != 64) {
			t.Errorf("%s: got %v, %v", system, a, err)
		}
	}
}

func TestAt(t *testing.T) {
	pinned, err := Pinned("linux", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	mirrored, err := pinned.At("https://u:hunter2@mirror.example/nix.tar.xz?t=1", "")
	if err != nil || mirrored.SHA256 != pinned.SHA256 || mirrored.where() != "https://mirror.example/nix.tar.xz" {
		t.Errorf("got %v, %v", mirrored, err)
	}
	other, err := pinned.At("http://127.0.0.1:80/nix.tar.xz", strings.Repeat("AB", 32))
	if err != nil || other.SHA256 != strings.Repeat("ab", 32) {
		t.Errorf("got %v, %v", other, err)
	}
	for _, bad := range [][2]string{{"http://mirror.example/x", ""}, {"nix.tar.xz", ""}, {"https://u:hunter2@[", ""}, {"https://m.example/x", "abc"}, {"https://m.example/x", strings.Repeat("ab", 31)}} {
		if a, err := pinned.At(bad[0], bad[1]); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got %v, %v", bad, a, err)
		}
	}
}
