package serve

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/blobstore"
)

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// dirRegistry has its store in a directory.
func dirRegistry(t *testing.T, dir string) (*registry, *lines) {
	t.Helper()
	log := &lines{}
	return newRegistry(t, func(o *Options) {
		var err error
		if o.Blobs, err = blobstore.Open(t.Context(), dir, blobstore.Options{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { o.Blobs.Close() })
		o.Log = slog.New(slog.NewTextHandler(log, nil))
	}), log
}

// pullWhole gets all that a manifest names: get compares the digests.
func (r *registry) pullWhole(t *testing.T, name string, manifest reply) {
	t.Helper()
	m := manifest.manifest(t)
	for _, d := range append(m.Layers, m.Config) {
		if got := r.get("/v2/" + name + "/blobs/" + d.Digest.String()); got.digest() != d.Digest.String() {
			t.Errorf("got %s, want %s", got.digest(), d.Digest)
		}
	}
}

func readBlob(ctx context.Context, d *blobstore.Store, hex string) error {
	content, _, err := d.Open(ctx, v1.Hash{Algorithm: "sha256", Hex: hex}, 0, -1)
	if err != nil {
		return err
	}
	defer content.Close()
	_, err = io.Copy(io.Discard, content)
	return err
}

// Storage that goes away in the middle of a build makes the pull fail; when it is back, the same pull works, without any repair by hand.
func TestStorageComesBack(t *testing.T) {
	dir := t.TempDir()
	r, log := dirRegistry(t, dir)
	before := r.get("/v2/app/manifests/latest")
	blobs, away := filepath.Join(dir, "blobs"), filepath.Join(dir, "away")
	goes := sync.OnceFunc(func() {
		if err := os.Rename(blobs, away); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(blobs, nil, 0o600); err != nil { // so that no writer creates the directory again
			t.Error(err)
		}
	})
	r.nix.before = func(_ context.Context, program string) error {
		if program == "nix-build" {
			goes()
		}
		return nil
	}
	for _, path := range []string{"big/manifests/latest", "big/manifests/latest", "app/manifests/latest", "app/blobs/" + before.digest()} {
		r.refuse(http.StatusServiceUnavailable, "UNAVAILABLE", http.MethodGet, "/v2/"+path)
	}
	if !strings.Contains(log.String(), "storage: ") {
		t.Errorf("the log does not say what was wrong: %s", log)
	}
	if running, waiting := r.Load(); running+waiting != 0 {
		t.Errorf("%d builds run, %d wait", running, waiting)
	}
	if err := os.Remove(blobs); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, blobs); err != nil {
		t.Fatal(err)
	}
	if again := r.get("/v2/app/manifests/latest"); again.digest() != before.digest() {
		t.Errorf("it is %s, and was %s", again.digest(), before.digest())
	}
	r.pullWhole(t, "big", r.get("/v2/big/manifests/latest"))
}

// Storage that is emptied while the server runs, as docs/serve.md says, is empty storage: tags that are gone are forgotten, and what is
// pulled by name is built again.
func TestStorageIsEmptied(t *testing.T) {
	for what, empty := range map[string]func(dir string) error{
		"its content": func(dir string) error {
			entries, err := os.ReadDir(dir)
			for _, entry := range entries {
				err = errors.Join(err, os.RemoveAll(filepath.Join(dir, entry.Name())))
			}
			return err
		},
		"its files": func(dir string) error {
			return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
				if err == nil && !entry.IsDir() {
					err = os.Remove(path)
				}
				return err
			})
		},
		"the directory": os.RemoveAll,
	} {
		t.Run(what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			r, _ := dirRegistry(t, dir)
			paths := []string{"app/manifests/latest", "app/manifests/" + someCommit, "many/manifests/latest"}
			digests := map[string]string{}
			for _, path := range paths {
				digests[path] = r.get("/v2/" + path).digest()
			}
			index := r.get("/v2/app/manifests/latest", "Accept", ociTypes)
			if err := empty(dir); err != nil {
				t.Fatal(err)
			}
			if tags := string(r.do(http.MethodGet, "/v2/app/tags/list").content); !strings.Contains(tags, `["latest"]`) {
				t.Errorf("tags of what is gone: %s", tags)
			}
			if n := len(r.recent.all); n != 0 {
				t.Errorf("%d tags of what is gone are remembered", n)
			}
			r.refuse(http.StatusNotFound, "MANIFEST_UNKNOWN", http.MethodGet, "/v2/app/manifests/"+digests[paths[0]])
			for range 2 {
				for _, path := range paths {
					again := r.get("/v2/" + path)
					if again.digest() != digests[path] {
						t.Errorf("%s is %s, and was %s", path, again.digest(), digests[path])
					}
					r.pullWhole(t, "app", again)
				}
			}
			if again := r.get("/v2/app/manifests/latest", "Accept", ociTypes); again.digest() != index.digest() {
				t.Errorf("the index is %s, and was %s", again.digest(), index.digest())
			}
			for _, child := range index.index(t).Manifests {
				r.pullWhole(t, "app", r.get("/v2/app/manifests/"+child.Digest.String()))
			}
			if err := r.options.Blobs.Ready(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A blob that was damaged, or cut, on the disk ends before its end: no client takes it for whole.
func TestDamagedBlobIsNeverWhole(t *testing.T) {
	dir := t.TempDir()
	r, _ := dirRegistry(t, dir)
	m := r.get("/v2/big/manifests/latest").manifest(t)
	for _, d := range append(m.Layers, m.Config) {
		file := filepath.Join(dir, "blobs/sha256", d.Digest.Hex)
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		flipped := bytes.Clone(content)
		flipped[len(flipped)/2] ^= 1
		for what, bad := range map[string][]byte{"flipped": flipped, "cut": content[:len(content)/2], "longer": append(bytes.Clone(content), 0)} {
			if err := os.WriteFile(file, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if answer, err := r.try(t.Context(), http.MethodGet, "/v2/big/blobs/"+d.Digest.String()); err == nil && answer.StatusCode == http.StatusOK {
				t.Errorf("%s, %s: %d bytes came as if they were whole", d.MediaType, what, len(answer.content))
			}
		}
	}
}
