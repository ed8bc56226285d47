package cli

import (
	"os"
	"strings"
	"testing"
)

func TestMayInstall(t *testing.T) {
	for name, tc := range map[string]struct {
		env   map[string]string
		files string
		user  int
		err   string
	}{
		"GitHub's runner":              {env: map[string]string{"RUNNER_ENVIRONMENT": "github-hosted"}, user: 1001},
		"a container there":            {env: map[string]string{"RUNNER_ENVIRONMENT": "github-hosted"}, files: "/.dockerenv"},
		"a machine of one's own":       {env: map[string]string{"RUNNER_ENVIRONMENT": "self-hosted"}, err: "a machine of yours"},
		"the same as a user":           {env: map[string]string{"RUNNER_ENVIRONMENT": "self-hosted"}, user: 1000, err: "a machine of yours"},
		"a container there, or in act": {files: "/.dockerenv"},
		"podman's":                     {files: "/run/.containerenv"},
		"a pod":                        {env: map[string]string{"KUBERNETES_SERVICE_HOST": "10.0.0.1"}},
		"a container's user":           {files: "/.dockerenv", user: 1000, err: "as root only"},
	} {
		t.Run(name, func(t *testing.T) {
			err := mayInstall(func(key string) string { return tc.env[key] }, func(file string) bool { return file == tc.files }, tc.user)
			if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("got %v, want %q", err, tc.err)
			}
		})
	}
}

func TestNixArchive(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	for name, tc := range map[string]struct{ url, sum, want, err string }{
		"pinned":     {want: "https://releases.nixos.org/nix/"},
		"a mirror":   {url: "https://nix.example/nix.tar.xz", want: "https://nix.example/nix.tar.xz"},
		"another":    {url: "https://nix.example/nix.tar.xz", sum: sum, want: "https://nix.example/nix.tar.xz"},
		"plain HTTP": {url: "http://u:hunter2@nix.example/nix.tar.xz", err: "want an https URL"},
		"a bad hash": {url: "https://nix.example/nix.tar.xz", sum: "ab", err: "want a SHA-256"},
		"only one":   {sum: sum, err: "without NIXERY_NIX_URL"},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"NIXERY_NIX_URL": tc.url, "NIXERY_NIX_SHA256": tc.sum}
			archive, err := nixArchive(func(key string) string { return env[key] })
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) || strings.Contains(err.Error(), secret) || !isBadInput(err) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || !strings.HasPrefix(archive.URL.String(), tc.want) || tc.sum != "" && archive.SHA256 != sum {
				t.Errorf("got %v, %v", archive, err)
			}
		})
	}
}

func TestAddToPath(t *testing.T) {
	for old, want := range map[string]string{"/bin:/usr/bin": "/bin:/usr/bin:/x", "": "/x"} {
		t.Setenv("PATH", old)
		if err := addToPath("/x"); err != nil || os.Getenv("PATH") != want {
			t.Errorf("%q became %q, %v", old, os.Getenv("PATH"), err)
		}
	}
}
