package cache_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/cache/actions"
	"github.com/org/nixery-action/internal/cache/cachetest"
	"github.com/org/nixery-action/internal/cache/dir"
)

// A run without a cache goes through the same steps.
func TestNoPlaces(t *testing.T) {
	c := cachetest.NewTestCache()
	cachetest.Use(t, c, "old", "new")
	c.CheckLog(t)
}

// TestSeveralPlaces reads from all, and a fault of one is not another's.
func TestSeveralPlaces(t *testing.T) {
	one, two := cachetest.NewMemory(), cachetest.NewMemory()
	cachetest.NewTestCache(one).Save(t.Context(), cachetest.TestIdentity, cachetest.NewTestSnapshot("a"))
	cachetest.NewTestCache(two).Save(t.Context(), cachetest.TestIdentity, cachetest.NewTestSnapshot("b"))
	cachetest.NewTestCache(two).SaveBlob(t.Context(), cachetest.HashOf("blob"), 4, cachetest.Opener("blob"))
	c := cachetest.NewTestCache(actions.FromEnvironment(func(string) string { return "" }, actions.Options{}), one, two)
	cachetest.CheckKnows(t, c.Open(t.Context(), cachetest.TestIdentity), "a", "b")
	cachetest.CheckBlob(t, c, "blob")
	c.Save(t.Context(), cachetest.TestIdentity, cachetest.NewTestSnapshot("c"))
	for _, s := range []cache.Store{one, two} {
		cachetest.CheckKnows(t, cachetest.NewTestCache(s).Open(t.Context(), cachetest.TestIdentity), "c")
	}
	c.CheckLog(t, "not in run: steps")
}

// A blob is saved in places with mode max only, and once.
func TestBlobModes(t *testing.T) {
	minimal, full := cachetest.NewMemory(), cachetest.NewMemory()
	c := cache.New(nil, []cache.Place{{Store: minimal, Mode: cache.Min}, {Store: full, Mode: cache.Max}}, slog.New(slog.DiscardHandler))
	for range 3 {
		c.SaveBlob(t.Context(), cachetest.HashOf("blob"), 4, cachetest.Opener("blob"))
	}
	if minimal.Len() != 0 || full.Len() != 1 {
		t.Errorf("mode min keeps %d blobs, mode max %d", minimal.Len(), full.Len())
	}
}

// What is not the blob is never saved as one.
func TestBlobSourceLies(t *testing.T) {
	m := cachetest.NewMemory()
	c := cachetest.NewTestCache(m)
	c.SaveBlob(t.Context(), cachetest.HashOf("blob"), 4, cachetest.Opener("blub"))
	c.SaveBlob(t.Context(), cachetest.HashOf("blob"), 3, cachetest.Opener("blo"))
	c.CheckLog(t, "its digest is")
	if m.Len() != 0 {
		t.Errorf("%d entries", m.Len())
	}
}

// Scopes and identities have histories of their own, and share blobs.
func TestScopes(t *testing.T) {
	m := cachetest.NewMemory()
	scoped := func(scope string) *cache.Cache {
		places := []cache.Place{{Store: m, Scope: scope, Mode: cache.Max}}
		return cache.New(places, places, slog.New(slog.DiscardHandler))
	}
	scoped("a").Save(t.Context(), cachetest.TestIdentity, cachetest.NewTestSnapshot("a"))
	scoped("a").SaveBlob(t.Context(), cachetest.HashOf("blob"), 4, cachetest.Opener("blob"))
	other := cachetest.TestIdentity
	other.Image = "tool"
	if !scoped("b").Open(t.Context(), cachetest.TestIdentity).Empty() || !scoped("a").Open(t.Context(), other).Empty() {
		t.Error("a history is seen from another scope")
	}
	cachetest.CheckBlob(t, &cachetest.TestCache{Cache: scoped("b")}, "blob")
}

// A snapshot that says nothing new is not saved.
func TestNothingLearnt(t *testing.T) {
	m := cachetest.NewMemory()
	for range 3 {
		c := cachetest.NewTestCache(m)
		c.Open(t.Context(), cachetest.TestIdentity)
		c.Save(t.Context(), cachetest.TestIdentity, cachetest.NewTestSnapshot("a"))
	}
	if m.Len() != 1 {
		t.Errorf("%d entries", m.Len())
	}
}

// A scope whose last serial is taken says so, and nothing goes where it would never be seen.
func TestLastSerial(t *testing.T) {
	blob := cachetest.HashOf("blob")
	for _, scope := range []cache.Scope{cachetest.TestIdentity.Scope(""), cache.BlobScope(blob)} {
		for _, serial := range []uint32{math.MaxUint32, math.MaxUint32 - 1} {
			m := cachetest.NewMemory()
			forged := cache.Name{Scope: scope, Serial: serial}
			if err := m.Save(t.Context(), forged, 4, cachetest.Opener("evil")); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				c := cachetest.NewTestCache(m)
				c.Open(t.Context(), cachetest.TestIdentity)
				if content, err := c.Blob(t.Context(), blob, 4); err == nil {
					_, _ = io.ReadAll(content)
				}
				c.SaveBlob(t.Context(), blob, 4, cachetest.Opener("blob"))
				c.Save(t.Context(), cachetest.TestIdentity, cachetest.NewTestSnapshot(rand.Text()))
				told := strings.Contains(c.Log.String(), "no name is left after "+string(scope)+"-ffffffff: remove that entry")
				last := slices.ContainsFunc(m.Names(), func(n cache.Name) bool { return n.Scope == scope && n.Serial == math.MaxUint32 })
				if serial == math.MaxUint32 && !told || told && !last {
					t.Errorf("%s: told %v, the last serial is taken %v; the log is\n%s", forged, told, last, c.Log)
				}
			}
			for _, name := range m.Names() {
				if name.Scope == scope && name.Serial < serial {
					t.Errorf("beside %s there is %s", forged, name)
				}
			}
		}
	}
}

// TestManyJobs saves one scope from many jobs that began with the same history.
func TestManyJobs(t *testing.T) {
	m := cachetest.NewMemory()
	var wait sync.WaitGroup
	caches := make([]*cachetest.TestCache, 8)
	for i := range caches {
		caches[i] = cachetest.NewTestCache(m)
		caches[i].Open(t.Context(), cachetest.TestIdentity)
	}
	for i, c := range caches {
		wait.Go(func() { c.Save(t.Context(), cachetest.TestIdentity, cachetest.NewTestSnapshot(fmt.Sprint(i))) })
	}
	wait.Wait()
	known := cachetest.NewTestCache(m).Open(t.Context(), cachetest.TestIdentity)
	for i, c := range caches {
		c.CheckLog(t)
		cachetest.CheckKnows(t, known, fmt.Sprint(i))
	}
}

func TestCancelledRunSaysNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := cachetest.NewTestCache(cachetest.NewMemory(), dir.New(t.TempDir()), actions.FromEnvironment(func(string) string { return "" }, actions.Options{}))
	c.Open(ctx, cachetest.TestIdentity)
	c.SaveBlob(ctx, cachetest.HashOf("blob"), 4, cachetest.Opener("blob"))
	c.Save(ctx, cachetest.TestIdentity, cachetest.NewTestSnapshot("a"))
	if _, err := c.Blob(ctx, cachetest.HashOf("blob"), 4); err == nil {
		t.Error("there is a blob")
	}
	c.CheckLog(t)
}

// TestContract is run against the memory of the other packages' tests, too.
func TestContract(t *testing.T) {
	for name, test := range cachetest.Contract(cachetest.Can{Tamper: true}) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, cachetest.MemorySite()) })
		})
	}
}
