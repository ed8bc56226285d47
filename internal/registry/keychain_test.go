package registry

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// login makes the test's docker configuration hold a login for registry.
func login(t *testing.T, registry, user, password string) {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("DOCKER_CONFIG", home)
	t.Setenv("XDG_RUNTIME_DIR", home)
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("REGISTRY_AUTH_FILE", "")
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	config := `{"auths":{"` + registry + `":{"auth":"` + auth + `"}}}`
	if err := os.WriteFile(filepath.Join(home, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
}

func passwordFor(t *testing.T, k authn.Keychain, registry string) string {
	t.Helper()
	repo, err := name.NewRepository(registry + "/acme/box")
	if err != nil {
		t.Fatal(err)
	}
	auth, err := authn.Resolve(t.Context(), k, repo)
	if err != nil {
		t.Fatalf("%s: %v", registry, err)
	}
	config, err := authn.Authorization(t.Context(), auth)
	if err != nil {
		t.Fatalf("%s: %v", registry, err)
	}
	return config.Password
}

func TestKeychain(t *testing.T) {
	login(t, "r.example", "u", "login")
	for registry, want := range map[string]string{
		"r.example": "login", "ghcr.io": "token", "other.example": "", "ghcr.io.example": "", "docker.io": "", "ghcr.io:5000": "",
	} {
		if got := passwordFor(t, Keychain("token"), registry); got != want {
			t.Errorf("%s gets %q, want %q", registry, got, want)
		}
	}
	if got := passwordFor(t, Keychain(""), "ghcr.io"); got != "" {
		t.Errorf("ghcr.io gets %q without a token", got)
	}
}

func TestKeychainPrefersALogin(t *testing.T) {
	login(t, "ghcr.io", "u", "login")
	if got := passwordFor(t, Keychain("token"), "ghcr.io"); got != "login" {
		t.Errorf("ghcr.io gets %q", got)
	}
}

// A credential helper that never answers, or a configuration that is a pipe, is waited for as long as the context.
func TestKeychainEndsWithItsContext(t *testing.T) {
	login(t, "unused.example", "a", "b")
	config := filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json")
	if err := errors.Join(os.Remove(config), syscall.Mkfifo(config, 0o600)); err != nil {
		t.Fatal(err)
	}
	repo, err := name.NewRepository("registry.example/acme/box")
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := authn.Resolve(ctx, namedKeychain{Keychain("")}, repo)
		ended <- err
	}()
	writer, err := os.OpenFile(config, os.O_WRONLY, 0) // it is open as soon as the keychain reads it
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	cancel(cause)
	select {
	case err := <-ended:
		if !errors.Is(err, cause) {
			t.Errorf("got %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it waits on")
	}
}
