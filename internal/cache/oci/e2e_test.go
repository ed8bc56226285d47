//go:build e2e

package oci

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/cache/cachetest"
)

// startDistribution starts docker's registry with one user, u:hunter2, and returns its address.
func startDistribution(t *testing.T) string {
	t.Helper()
	server := exec.Command("../../../testdata/scripts/registry", t.TempDir(), "u", "hunter2")
	server.Stderr = os.Stderr
	stdout, err := server.StdoutPipe()
	if err := errors.Join(err, server.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(server.Process.Signal(syscall.SIGTERM), server.Wait()) })
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("starting the registry: %v", err)
	}
	return strings.TrimSpace(address)
}

type oneUser struct{}

func (oneUser) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(authn.AuthConfig{Username: "u", Password: "hunter2"}), nil
}

// openDistribution returns what opens a repository of docker's registry.
func openDistribution(t *testing.T) func(repository string) cache.Store {
	address := startDistribution(t)
	return func(repository string) cache.Store {
		r, err := New(address+"/"+repository, Options{Keychain: oneUser{}})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
}

func TestDistribution(t *testing.T) {
	address := startDistribution(t)
	open := func(t *testing.T, repository string, keychain authn.Keychain) *Store {
		r, err := New(address+"/"+repository, Options{Keychain: keychain})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	t.Run("nothing saved is lost", func(t *testing.T) {
		cachetest.Contract(cachetest.Can{})["nothing saved is lost"](t, cachetest.Site{Open: func() cache.Store { return open(t, "acme/box0:cache", oneUser{}) }})
	})
	t.Run("anonymous", func(t *testing.T) {
		c := cachetest.NewTestCache(open(t, "acme/box", nil))
		cachetest.Use(t, c, "old", "new")
		c.CheckLog(t, "HTTP 401")
	})
	t.Run("large", func(t *testing.T) {
		const size = 100 << 20
		s, name := open(t, "acme/large", oneUser{}), cache.Name{Scope: cachetest.Scope("a"), Serial: 1}
		before := cachetest.Allocated()
		if err := s.Save(t.Context(), name, size, func() (io.ReadCloser, error) { return io.NopCloser(io.LimitReader(&cachetest.Pattern{}, size)), nil }); err != nil {
			t.Fatal(err)
		}
		if n := readLength(t, s, name.Scope); n != size {
			t.Errorf("%d bytes came back", n)
		}
		if used := cachetest.Allocated() - before; used > size/4 {
			t.Errorf("%d bytes were allocated for %d", used, size)
		}
	})
	t.Run("history", func(t *testing.T) {
		places := []cache.Place{{Store: open(t, "acme/box", oneUser{}), Mode: cache.Max}}
		cache.New(nil, places, slog.Default()).Save(context.Background(), cachetest.TestIdentity, cachetest.NewTestSnapshot("a"))
		cachetest.CheckKnows(t, cache.New(places, nil, slog.Default()).Open(t.Context(), cachetest.TestIdentity), "a")
	})
}

func readLength(t *testing.T, s cache.Store, l cache.Scope) int64 {
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

// TestDistributionContract runs the contract against docker's registry, each test in a repository of its own.
func TestDistributionContract(t *testing.T) {
	open := openDistribution(t)
	number := 0
	for name, test := range cachetest.Contract(cachetest.Can{List: true}) {
		number++
		repository := fmt.Sprintf("acme/box%d:cache", number)
		t.Run(name, func(t *testing.T) {
			test(t, cachetest.Site{Open: func() cache.Store { return open(repository) }})
		})
	}
}
