//go:build e2e

package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
)

// startDistribution starts docker's registry with one user, u:hunter2, and returns its address.
func startDistribution(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	users := filepath.Join(dir, "users")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	config := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %q}\n"+
		"auth: {htpasswd: {realm: test, path: %s}}\n", dir, address, users)
	path := filepath.Join(dir, "config.yml")
	if err := errors.Join(listener.Close(), os.WriteFile(path, []byte(config), 0o600)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("htpasswd", "-Bbc", users, "u", "hunter2").CombinedOutput(); err != nil {
		t.Fatalf("htpasswd: %v\n%s", err, out)
	}
	server := exec.Command("docker-registry", "serve", path)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(server.Process.Kill(), server.Wait()) })
	for range 200 {
		if resp, err := http.Get("http://" + address + "/v2/"); err == nil {
			_ = resp.Body.Close()
			return address
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the registry does not answer")
	return ""
}

type oneUser struct{}

func (oneUser) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(authn.AuthConfig{Username: "u", Password: "hunter2"}), nil
}

// TestDistribution runs the contract against docker's registry, each test in a repository of its own.
func TestDistribution(t *testing.T) {
	address := startDistribution(t)
	open := func(t *testing.T, repository string, keychain authn.Keychain) *Registry {
		r, err := NewRegistry(address+"/"+repository, RegistryOptions{Keychain: keychain})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	number := 0
	for name, test := range contract {
		if name == "damage is seen" || name == "cut is seen" || name == "damaged blob" {
			continue // these change content behind the registry's back
		}
		number++
		repository := fmt.Sprintf("acme/box%d:cache", number)
		t.Run(name, func(t *testing.T) {
			test(t, site{open: func() Store { return open(t, repository, oneUser{}) }})
		})
	}
	t.Run("anonymous", func(t *testing.T) {
		c := newTestCache(open(t, "acme/box", nil))
		use(t, c, "old", "new")
		c.checkLog(t, "HTTP 401")
	})
	t.Run("large", func(t *testing.T) {
		const size = 100 << 20
		s, name := open(t, "acme/large", oneUser{}), Name{lane("a"), 1}
		before := allocated()
		if err := s.Save(t.Context(), name, size, func() (io.ReadCloser, error) { return io.NopCloser(io.LimitReader(&pattern{}, size)), nil }); err != nil {
			t.Fatal(err)
		}
		if n := readLength(t, s, name.Lane); n != size {
			t.Errorf("%d bytes came back", n)
		}
		if used := allocated() - before; used > size/4 {
			t.Errorf("%d bytes were allocated for %d", used, size)
		}
	})
	t.Run("ledger", func(t *testing.T) {
		places := []Place{{Store: open(t, "acme/box", oneUser{}), Mode: Max}}
		New(nil, places, slog.Default()).Save(context.Background(), testIdentity, page("a"))
		checkKnows(t, New(places, nil, slog.Default()).Open(t.Context(), testIdentity), "a")
	})
}

func readLength(t *testing.T, s Store, l Lane) int64 {
	t.Helper()
	e, err := s.Newest(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	r, err := e.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return n
}
