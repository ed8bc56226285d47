// Package cachetest is what every [cache.Store] must do, as tests. It stands apart because stores are in more than one package.
// Each test sees a store only as its users do.
package cachetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/org/nixery-action/internal/cache"
)

// Site is a place where a store keeps its entries. Nothing is in it at first.
type Site struct {
	// Open is called by each of several processes that use the site.
	Open func() cache.Store
	// Reserves says that of several jobs which save one name at once only one can.
	Reserves bool
	// Tamper changes the content of an entry that was saved, by its name. Tests of damage are skipped if it is nil.
	Tamper func(name string, change func([]byte) []byte)
}

// always are the tests that each site passes, by name; each wants a site of its own.
var always = map[string]func(*testing.T, Site){
	"nothing there":         nothingThere,
	"newest first":          newestFirst,
	"scopes are apart":      scopesApart,
	"never changes":         neverChanges,
	"one name, many jobs":   oneName,
	"one scope, many jobs":  oneScope,
	"taken while saving":    takenWhileSaving,
	"empty content":         emptyContent,
	"content of wrong size": wrongSize,
	"source breaks":         sourceBreaks,
	"cancelled":             cancelledRun,
	"forged history":        forgedHistory,
	"nothing saved is lost": nothingLost,
}

// Can is what some sites can do, and others not.
type Can struct {
	Stream bool // entries are in memory nowhere
	Tamper bool // Site.Tamper is set
	List   bool // the store is a [cache.Inventory]
}

// Contract returns the tests that such a site passes, by name; each wants a site of its own.
func Contract(can Can) map[string]func(*testing.T, Site) {
	tests := maps.Clone(always)
	if can.Stream {
		tests["large entry"] = largeEntry
	}
	if can.Tamper {
		tests["damage is seen"], tests["cut is seen"], tests["damaged blob"] = damageSeen, cutSeen, damagedBlob
	}
	if can.List {
		tests["inventory is cancelled"] = inventoryCancelled
	}
	return tests
}

// blockSize is more than stores send at once.
const blockSize = 8 << 20

func entry(letter string, serial uint32) cache.Name {
	return cache.Name{Scope: Scope(letter), Serial: serial}
}

func nothingThere(t *testing.T, s Site) {
	if _, err := s.Open().Newest(t.Context(), Scope("a")); !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("error is %v", err)
	}
}

func newestFirst(t *testing.T, s Site) {
	for serial := range uint32(20) {
		name := entry("a", serial+1)
		Save(t, s.Open(), name, name.String())
		CheckNewest(t, s.Open(), name, name.String())
	}
}

func scopesApart(t *testing.T, s Site) {
	short, long := entry("a", 1), cache.Name{Scope: Scope("a") + "b", Serial: 1}
	Save(t, s.Open(), short, "short")
	if _, err := s.Open().Newest(t.Context(), long.Scope); !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("a longer scope: %v", err)
	}
	Save(t, s.Open(), long, "long")
	CheckNewest(t, s.Open(), short, "short")
	CheckNewest(t, s.Open(), long, "long")
}

func neverChanges(t *testing.T, s Site) {
	name := entry("a", 7)
	Save(t, s.Open(), name, "first")
	if err := s.Open().Save(t.Context(), name, 6, Opener("second")); !errors.Is(err, cache.ErrExists) {
		t.Errorf("error is %v", err)
	}
	CheckNewest(t, s.Open(), name, "first")
}

// jobs saves under several names at once, and counts.
func jobs(t *testing.T, s Site, names ...cache.Name) (saved, taken int) {
	errs := make([]error, len(names))
	var wait sync.WaitGroup
	for i, name := range names {
		store := s.Open()
		wait.Go(func() { errs[i] = store.Save(t.Context(), name, 4, Opener("same")) })
	}
	wait.Wait()
	for _, err := range errs {
		switch {
		case err == nil:
			saved++
		case errors.Is(err, cache.ErrExists):
			taken++
		default:
			t.Error(err)
		}
	}
	return saved, taken
}

func oneName(t *testing.T, s Site) {
	name := entry("a", 1)
	saved, taken := jobs(t, s, name, name, name, name)
	if saved != 1 && s.Reserves || saved < 1 || saved+taken != 4 {
		t.Errorf("%d saved it, %d found it taken", saved, taken)
	}
	CheckNewest(t, s.Open(), name, "same")
}

func oneScope(t *testing.T, s Site) {
	names := []cache.Name{entry("a", 1), entry("a", 2), entry("b", 1), entry("b", 2)}
	if saved, _ := jobs(t, s, names...); saved < 2 {
		t.Errorf("%d saved", saved)
	}
	for _, l := range []cache.Scope{Scope("a"), Scope("b")} {
		e, err := s.Open().Newest(t.Context(), l)
		if err != nil || e.Name.Scope != l || read(t, e) != "same" {
			t.Errorf("found %v: %v", e.Name, err)
		}
	}
}

// takenWhileSaving lets another job save the name first, when this one has begun.
func takenWhileSaving(t *testing.T, s Site) {
	name := entry("a", 1)
	var inner error
	first := true
	outer := s.Open().Save(t.Context(), name, 4, func() (io.ReadCloser, error) {
		if first {
			first = false
			inner = s.Open().Save(t.Context(), name, 4, Opener("same"))
		}
		return Opener("same")()
	})
	if wins := []bool{inner == nil, outer == nil}; s.Reserves && wins[0] == wins[1] {
		t.Errorf("errors are %v, %v", inner, outer)
	}
	for _, err := range []error{inner, outer} {
		if err != nil && !errors.Is(err, cache.ErrExists) {
			t.Error(err)
		}
	}
	CheckNewest(t, s.Open(), name, "same")
}

func emptyContent(t *testing.T, s Site) {
	name := entry("a", 1)
	Save(t, s.Open(), name, "")
	CheckNewest(t, s.Open(), name, "")
}

func wrongSize(t *testing.T, s Site) {
	for _, size := range []int64{3, 5, blockSize + 4} {
		name := entry("a", uint32(size))
		err := s.Open().Save(t.Context(), name, size, Opener("four"))
		var fault *cache.StoreError
		if !errors.As(err, &fault) || fault.Kind != cache.Other {
			t.Errorf("size %d: error is %v", size, err)
		}
	}
	nothingThere(t, s)
}

func sourceBreaks(t *testing.T, s Site) {
	broken := errors.New("disk on fire")
	err := s.Open().Save(t.Context(), entry("a", 1), 10, func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("1234"), errReader{broken})), nil
	})
	if !errors.Is(err, broken) {
		t.Errorf("error is %v", err)
	}
	nothingThere(t, s)
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func cancelledRun(t *testing.T, s Site) {
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Open().Save(ctx, entry("a", 1), 10, func() (io.ReadCloser, error) {
		cancel()
		return io.NopCloser(strings.NewReader("0123456789")), nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("saving: error is %v", err)
	}
	if _, err := s.Open().Newest(ctx, Scope("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("looking: error is %v", err)
	}
	nothingThere(t, s)
}

// largeEntry saves and reads more than a store may hold in memory.
func largeEntry(t *testing.T, s Site) {
	const size = 3*blockSize + 12345
	name := entry("a", 1)
	before := Allocated()
	err := s.Open().Save(t.Context(), name, size, func() (io.ReadCloser, error) { return io.NopCloser(io.LimitReader(&Pattern{}, size)), nil })
	if err != nil {
		t.Fatal(err)
	}
	e, err := s.Open().Newest(t.Context(), name.Scope)
	if err != nil {
		t.Fatal(err)
	}
	r, err := e.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, want := sha256.New(), sha256.New()
	n, err := io.Copy(got, r)
	_, _ = io.Copy(want, io.LimitReader(&Pattern{}, size))
	if err != nil || n != size || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		t.Errorf("%d bytes came back: %v", n, err)
	}
	if used := Allocated() - before; used > size/2 {
		t.Errorf("%d bytes were allocated for %d", used, size)
	}
}

// inventoryCancelled lists with a context that has ended.
func inventoryCancelled(t *testing.T, s Site) {
	inventory := s.Open().(cache.Inventory)
	Save(t, s.Open(), entry("a", 1), "content")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := inventory.List(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}
