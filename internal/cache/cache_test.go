package cache

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
)

// testCache reads and writes one store, with blobs, and keeps its log.
type testCache struct {
	*Cache
	log *bytes.Buffer
}

func newTestCache(stores ...Store) *testCache {
	var places []Place
	for _, s := range stores {
		places = append(places, Place{Store: s, Mode: Max})
	}
	log := &bytes.Buffer{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	return &testCache{New(places, places, logger), log}
}

func (c *testCache) lines() []string {
	return strings.FieldsFunc(c.log.String(), func(r rune) bool { return r == '\n' })
}

// checkLog wants one line for each part, in order, and no secret in any.
func (c *testCache) checkLog(t *testing.T, parts ...string) {
	t.Helper()
	lines := c.lines()
	if len(lines) != len(parts) || len(c.Problems()) != len(parts) {
		t.Fatalf("the log has %d lines, and there are %d problems; want %d:\n%s", len(lines), len(c.Problems()), len(parts), c.log)
	}
	for i, part := range parts {
		if !strings.Contains(lines[i], part) {
			t.Errorf("line %q does not have %q", lines[i], part)
		}
	}
	for _, secret := range []string{testToken, testSig} {
		if strings.Contains(c.log.String(), secret) {
			t.Errorf("a secret is in the log:\n%s", c.log)
		}
	}
}

func hashOf(text string) v1.Hash { return digestOf([]byte(text)) }

func storePath(name string) nix.StorePath {
	return nix.StorePath(nix.StoreDir + "/" + strings.Repeat("0", 32) + "-" + name)
}

// snapshot is a snapshot with one layer, one image, and a closure of two paths.
func snapshot(name string) Snapshot {
	p := NewSnapshot()
	p.Layers[layers.Key(hashOf(name).Hex)] = layers.Record{DiffID: hashOf(name + " tar"), Digest: hashOf(name + " blob"), Size: int64(len(name))}
	p.Images[name] = hashOf(name + " image")
	lib, app := storePath("lib-"+name), storePath("app-"+name)
	p.Paths[lib] = nix.PathInfo{Path: lib, NarHash: hashOf("lib"), NarSize: 1}
	p.Paths[app] = nix.PathInfo{Path: app, NarHash: hashOf("app"), NarSize: 2, References: []nix.StorePath{lib}}
	p.Inspected[name] = time.Unix(1, 0).UTC()
	p.Roots[name] = []Root{{"app", app}, {"lib", lib}}
	return p
}

// checkKnows wants all that the snapshots of these names say.
func checkKnows(t *testing.T, l *History, names ...string) {
	t.Helper()
	for _, name := range names {
		want := snapshot(name)
		for key, record := range want.Layers {
			if got, ok := l.Layer(key); !ok || got != record {
				t.Errorf("layer of snapshot %s is %v, %v", name, got, ok)
			}
		}
		if got, ok := l.Image(name); !ok || got != want.Images[name] {
			t.Errorf("image of snapshot %s is %v, %v", name, got, ok)
		}
		if got, ok := l.Roots(name); !ok || !slices.Equal(got, want.Roots[name]) {
			t.Errorf("roots of snapshot %s are %v, %v", name, got, ok)
		}
		if got, ok := l.Inspected(name); !ok || !got.Equal(want.Inspected[name]) {
			t.Errorf("inspection of snapshot %s is of %v, %v", name, got, ok)
		}
		closure, ok := l.Closure([]nix.StorePath{storePath("app-" + name)})
		if !ok || len(closure.Paths) != 2 {
			t.Errorf("closure of snapshot %s is %v, %v", name, closure, ok)
		}
	}
}

// A run without a cache goes through the same steps.
func TestNoPlaces(t *testing.T) {
	c := newTestCache()
	use(t, c, "old", "new")
	c.checkLog(t)
}

// TestSeveralPlaces reads from all, and a fault of one is not another's.
func TestSeveralPlaces(t *testing.T) {
	one, two := NewMemory(), NewMemory()
	newTestCache(one).Save(t.Context(), testIdentity, snapshot("a"))
	newTestCache(two).Save(t.Context(), testIdentity, snapshot("b"))
	newTestCache(two).SaveBlob(t.Context(), hashOf("blob"), 4, opener("blob"))
	c := newTestCache(absent{"it is Sunday"}, one, two)
	checkKnows(t, c.Open(t.Context(), testIdentity), "a", "b")
	checkBlob(t, c, "blob")
	c.Save(t.Context(), testIdentity, snapshot("c"))
	for _, s := range []Store{one, two} {
		checkKnows(t, newTestCache(s).Open(t.Context(), testIdentity), "c")
	}
	c.checkLog(t, "it is Sunday")
}

// A blob is saved in places with mode max only, and once.
func TestBlobModes(t *testing.T) {
	minimal, full := NewMemory(), NewMemory()
	c := New(nil, []Place{{Store: minimal, Mode: Min}, {Store: full, Mode: Max}}, slog.New(slog.DiscardHandler))
	for range 3 {
		c.SaveBlob(t.Context(), hashOf("blob"), 4, opener("blob"))
	}
	if len(minimal.entries) != 0 || len(full.entries) != 1 {
		t.Errorf("mode min keeps %d blobs, mode max %d", len(minimal.entries), len(full.entries))
	}
}

// What is not the blob is never saved as one.
func TestBlobSourceLies(t *testing.T) {
	m := NewMemory()
	c := newTestCache(m)
	c.SaveBlob(t.Context(), hashOf("blob"), 4, opener("blub"))
	c.SaveBlob(t.Context(), hashOf("blob"), 3, opener("blo"))
	c.checkLog(t, "its digest is")
	if len(m.entries) != 0 {
		t.Errorf("%d entries", len(m.entries))
	}
}

// Scopes and identities have histories of their own, and share blobs.
func TestScopes(t *testing.T) {
	m := NewMemory()
	scoped := func(scope string) *Cache {
		places := []Place{{Store: m, Scope: scope, Mode: Max}}
		return New(places, places, slog.New(slog.DiscardHandler))
	}
	scoped("a").Save(t.Context(), testIdentity, snapshot("a"))
	scoped("a").SaveBlob(t.Context(), hashOf("blob"), 4, opener("blob"))
	other := testIdentity
	other.Image = "tool"
	if !scoped("b").Open(t.Context(), testIdentity).Empty() || !scoped("a").Open(t.Context(), other).Empty() {
		t.Error("a history is seen from another scope")
	}
	checkBlob(t, &testCache{Cache: scoped("b")}, "blob")
}

// A snapshot that says nothing new is not saved.
func TestNothingLearnt(t *testing.T) {
	m := NewMemory()
	for range 3 {
		c := newTestCache(m)
		c.Open(t.Context(), testIdentity)
		c.Save(t.Context(), testIdentity, snapshot("a"))
	}
	if len(m.entries) != 1 {
		t.Errorf("%d entries", len(m.entries))
	}
}

// TestManyJobs saves one scope from many jobs that began with the same history.
func TestManyJobs(t *testing.T) {
	m := NewMemory()
	var wait sync.WaitGroup
	caches := make([]*testCache, 8)
	for i := range caches {
		caches[i] = newTestCache(m)
		caches[i].Open(t.Context(), testIdentity)
	}
	for i, c := range caches {
		wait.Go(func() { c.Save(t.Context(), testIdentity, snapshot(fmt.Sprint(i))) })
	}
	wait.Wait()
	known := newTestCache(m).Open(t.Context(), testIdentity)
	for i, c := range caches {
		c.checkLog(t)
		checkKnows(t, known, fmt.Sprint(i))
	}
}

func TestCancelledRunSaysNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := newTestCache(NewMemory(), NewFolder(t.TempDir()), absent{"of no matter"})
	c.Open(ctx, testIdentity)
	c.SaveBlob(ctx, hashOf("blob"), 4, opener("blob"))
	c.Save(ctx, testIdentity, snapshot("a"))
	if _, err := c.Blob(ctx, hashOf("blob"), 4); err == nil {
		t.Error("there is a blob")
	}
	c.checkLog(t)
}

// A source without an end is read only a little beyond the size of the blob.
func TestVerifiedEnds(t *testing.T) {
	v := newVerified(io.NopCloser(&pattern{}), hashOf("blob"), 4, func(err error) error { return err })
	n, err := io.Copy(io.Discard, io.LimitReader(v, 1<<20))
	if err == nil || n > 64<<10 {
		t.Errorf("%d bytes were read: %v", n, err)
	}
}
