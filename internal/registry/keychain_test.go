package registry

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"

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
