// Package cachetest is what every [cache.Store] must do, as tests. It stands apart because stores are in more than one package.
// Each test sees a store only as its users do.
package cachetest

import (
	"context"
	"errors"
	"io"
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
}

// Contract is the tests, by name; each wants a site of its own.
var Contract = map[string]func(*testing.T, Site){
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
}

// blockSize is more than stores send at once.
const blockSize = 8 << 20

func scope(letter string) cache.Scope {
	return cache.Identity{Spec: "nixery.yaml", Image: letter}.Scope("")
}

func entry(letter string, serial uint32) cache.Name {
	return cache.Name{Scope: scope(letter), Serial: serial}
}

func opener(content string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }
}

func save(t *testing.T, s cache.Store, name cache.Name, content string) {
	t.Helper()
	if err := s.Save(t.Context(), name, int64(len(content)), opener(content)); err != nil {
		t.Fatalf("saving %s: %v", name, err)
	}
}

func checkNewest(t *testing.T, s cache.Store, want cache.Name, content string) {
	t.Helper()
	e, err := s.Newest(t.Context(), want.Scope)
	if err != nil || e.Name != want {
		t.Fatalf("found %v, %v; want %v", e.Name, err, want)
	}
	if e.Size >= 0 && e.Size != int64(len(content)) {
		t.Errorf("%s is said to be of %d bytes, want %d", want, e.Size, len(content))
	}
	if got := read(t, e); got != content {
		t.Errorf("%s holds %.50q, want %.50q", want, got, content)
	}
}

func read(t *testing.T, e cache.Entry) string {
	t.Helper()
	r, err := e.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func nothingThere(t *testing.T, s Site) {
	if _, err := s.Open().Newest(t.Context(), scope("a")); !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("error is %v", err)
	}
}

func newestFirst(t *testing.T, s Site) {
	for serial := range uint32(20) {
		name := entry("a", serial+1)
		save(t, s.Open(), name, name.String())
		checkNewest(t, s.Open(), name, name.String())
	}
}

func scopesApart(t *testing.T, s Site) {
	short, long := entry("a", 1), cache.Name{Scope: scope("a") + "b", Serial: 1}
	save(t, s.Open(), short, "short")
	if _, err := s.Open().Newest(t.Context(), long.Scope); !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("a longer scope: %v", err)
	}
	save(t, s.Open(), long, "long")
	checkNewest(t, s.Open(), short, "short")
	checkNewest(t, s.Open(), long, "long")
}

func neverChanges(t *testing.T, s Site) {
	name := entry("a", 7)
	save(t, s.Open(), name, "first")
	if err := s.Open().Save(t.Context(), name, 6, opener("second")); !errors.Is(err, cache.ErrExists) {
		t.Errorf("error is %v", err)
	}
	checkNewest(t, s.Open(), name, "first")
}

// jobs saves under several names at once, and counts.
func jobs(t *testing.T, s Site, names ...cache.Name) (saved, taken int) {
	errs := make([]error, len(names))
	var wait sync.WaitGroup
	for i, name := range names {
		store := s.Open()
		wait.Go(func() { errs[i] = store.Save(t.Context(), name, 4, opener("same")) })
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
	checkNewest(t, s.Open(), name, "same")
}

func oneScope(t *testing.T, s Site) {
	names := []cache.Name{entry("a", 1), entry("a", 2), entry("b", 1), entry("b", 2)}
	if saved, _ := jobs(t, s, names...); saved < 2 {
		t.Errorf("%d saved", saved)
	}
	for _, l := range []cache.Scope{scope("a"), scope("b")} {
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
			inner = s.Open().Save(t.Context(), name, 4, opener("same"))
		}
		return opener("same")()
	})
	if wins := []bool{inner == nil, outer == nil}; s.Reserves && wins[0] == wins[1] {
		t.Errorf("errors are %v, %v", inner, outer)
	}
	for _, err := range []error{inner, outer} {
		if err != nil && !errors.Is(err, cache.ErrExists) {
			t.Error(err)
		}
	}
	checkNewest(t, s.Open(), name, "same")
}

func emptyContent(t *testing.T, s Site) {
	name := entry("a", 1)
	save(t, s.Open(), name, "")
	checkNewest(t, s.Open(), name, "")
}

func wrongSize(t *testing.T, s Site) {
	for _, size := range []int64{3, 5, blockSize + 4} {
		name := entry("a", uint32(size))
		err := s.Open().Save(t.Context(), name, size, opener("four"))
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
	if _, err := s.Open().Newest(ctx, scope("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("looking: error is %v", err)
	}
	nothingThere(t, s)
}
