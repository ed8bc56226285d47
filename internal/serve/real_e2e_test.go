//go:build e2e

package serve

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"gocloud.dev/blob/memblob"

	"github.com/org/nixery-action/internal/blobstore"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/spec"
)

// countedNix is this machine's Nix, able to build for another system by doing as if: builders of the test's packages are scripts.
type countedNix struct {
	nixbuild.Runner
	builds *atomic.Int64 // runs of nix-build
}

func (n countedNix) Run(ctx context.Context, args ...string) ([]byte, error) {
	if args[0] == "nix-build" {
		n.builds.Add(1)
	}
	return n.Runner.Run(ctx, args...)
}

// debian is a set of Debian's packages, which make e2e makes.
func debian(t *testing.T) spec.Nixpkgs {
	t.Helper()
	set := os.Getenv("NIXERY_TEST_DEBPKGS")
	if set == "" {
		t.Fatal("NIXERY_TEST_DEBPKGS is not set; make e2e sets it")
	}
	return spec.Nixpkgs{Path: set}
}

// newRealRegistry serves packages that this machine's Nix builds, from a directory.
func newRealRegistry(t *testing.T, source spec.Nixpkgs, change func(*Options)) (r *registry, builds *atomic.Int64) {
	t.Helper()
	config := "sandbox = false\nsubstituters =\nextra-platforms = x86_64-linux aarch64-linux\n"
	if _, err := os.Stat("/nix/var/nix/daemon-socket/socket"); err != nil {
		config += "build-users-group =\n" // Nix as root, without a daemon
	}
	home := t.TempDir()
	env := []string{"NIX_CONFIG=" + config, "HOME=" + home, "XDG_CACHE_HOME=" + home}
	builds = &atomic.Int64{}
	r = &registry{t: t, nix: &fakeNix{}, bucket: memblob.OpenBucket(nil), change: func(o *Options) {
		var err error
		if o.Blobs, err = blobstore.Open(t.Context(), filepath.Join(t.TempDir(), "store"), blobstore.Options{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { o.Blobs.Close() })
		o.Runner = func(hear func(string), moved func(nixbuild.Progress)) nixbuild.Runner {
			return countedNix{nixbuild.Exec{Stderr: hear, Moved: moved, Env: env}, builds}
		}
		o.Store = nixbuild.NewStore(nix.StoreDir)
		o.Source = source
		if change != nil {
			change(o)
		}
	}}
	r.start()
	return r, builds
}
