package build

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/cache/cachetest"
	"github.com/org/nixery-action/internal/image"
	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/progress"
	"github.com/org/nixery-action/internal/publish"
	reports "github.com/org/nixery-action/internal/report"
	"github.com/org/nixery-action/internal/spec"
)

// workshop is a registry and a cache that outlive runs, as a runner does not.
type workshop struct {
	t        *testing.T
	host     string
	mu       sync.Mutex // of requests, while a run lasts
	requests []string
	store    cache.Store
	mode     cache.Mode
	noCache  bool
	verify   bool
	log      bytes.Buffer             // of the last run
	refuse   func(*http.Request) bool // requests to answer with status
	status   int
	source   spec.Nixpkgs // nothing is there, so it cannot be pinned
	spec     string
	created  time.Time
	cost     reports.Run // of the last run
	now      time.Time   // of the machine's clock
}

func newWorkshop(t *testing.T) *workshop {
	w := &workshop{
		t: t, store: cachetest.NewMemory(), mode: cache.Min, refuse: func(*http.Request) bool { return false },
		source: spec.Nixpkgs{Path: "/pkgs"}, created: image.Epoch, status: http.StatusNotFound, now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC),
	}
	w.open()
	return w
}

// open starts a new, empty registry.
func (w *workshop) open() {
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.requests = append(w.requests, r.Method+" "+r.URL.Path)
		w.mu.Unlock()
		if w.refuse(r) {
			rw.WriteHeader(w.status)
			return
		}
		inner.ServeHTTP(rw, r)
	}))
	w.t.Cleanup(server.Close)
	w.host = strings.TrimPrefix(server.URL, "http://")
}

// run is one run on a fresh machine, which succeeds. What is reported of the run
// itself is kept apart: only the rest is the same in every run.
func (w *workshop) run(nix *fakeNix, targets ...Target) *Report {
	w.t.Helper()
	report, err := w.try(nix, targets...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.cost, report.Run = report.Run, reports.Run{}
	for i := range report.Images {
		report.Images[i].Tags, report.Images[i].Repositories = nil, nil // ports differ
	}
	return report
}

func (w *workshop) try(nix *fakeNix, targets ...Target) (*Report, error) {
	w.t.Helper()
	w.requests = nil
	w.log.Reset()
	place := []cache.Place{{Store: w.store, Mode: w.mode}}
	builder := newBuilder(w.t, nix)
	builder.Cache = cache.New(place, place, slog.New(slog.DiscardHandler))
	if w.noCache {
		builder.Cache = cache.New(nil, nil, slog.New(slog.DiscardHandler))
	}
	builder.Spec, builder.Created = w.spec, w.created
	builder.Verify = w.verify
	builder.Now = func() time.Time { return w.now }
	builder.Log = slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	builder.Display = progress.New(&w.log, false, nil, time.Now)
	stats := &Stats{}
	return builder.Run(w.t.Context(), w.source, targets, w.destinations(stats, targets...), stats)
}

// destinations are the registry, in which each image has the tag latest of a repository of its name.
func (w *workshop) destinations(stats *Stats, targets ...Target) []Delivery {
	w.t.Helper()
	registry := publish.NewRegistry(publish.RegistryOptions{
		Jobs: 1, Report: stats.AddLayer, Sent: stats.AddBytes, Stored: stats.AddImage, Tagged: stats.AddTag,
	})
	d := Delivery{Destination: registry, Kind: reports.ToRegistry, Pull: registry.Pull}
	for _, order := range targets {
		tag, err := name.NewTag(w.host + "/" + order.Name + ":latest")
		if err != nil {
			w.t.Fatal(err)
		}
		d.Names = append(d.Names, Names{Tags: []name.Tag{tag}})
	}
	return []Delivery{d}
}

// sent counts the blobs that were uploaded.
func (w *workshop) sent() int {
	n := 0
	for _, r := range w.requests {
		if strings.HasPrefix(r, "PATCH ") {
			n++
		}
	}
	return n
}

func (w *workshop) same(when string, first, second *Report) {
	w.t.Helper()
	if diff := cmp.Diff(first, second); diff != "" {
		w.t.Errorf("%s, the result is another (-first +second):\n%s", when, diff)
	}
}

func TestUnchangedRunBuildsAndSendsNothing(t *testing.T) {
	w := newWorkshop(t)
	first := w.run(&fakeNix{}, target("box", both, "app"))
	nix := &fakeNix{}
	second := w.run(nix, target("box", both, "app"))
	w.same("unchanged", first, second)
	if diff := cmp.Diff([]string{"nix-instantiate"}, nix.calls); diff != "" {
		t.Errorf("processes (-want +got):\n%s", diff)
	}
	if slices.ContainsFunc(w.requests, func(r string) bool { return strings.Contains(r, "/blobs/sha256") }) || w.sent() != 0 {
		t.Errorf("it asked or sent too much: %q", w.requests)
	}
}

func TestAddedPackageSendsWhatIsNew(t *testing.T) {
	w := newWorkshop(t)
	w.run(&fakeNix{}, target("box", both[:1], "lib"))
	w.run(&fakeNix{}, target("box", both[:1], "app"))
	if w.sent() != 3 { // app, the root layer, the config
		t.Errorf("%d blobs were sent: %q", w.sent(), w.requests)
	}
}

func TestLostBlobIsMadeAgain(t *testing.T) {
	w := newWorkshop(t)
	first := w.run(&fakeNix{}, target("box", both[:1], "app"))
	w.open() // nothing is there any more
	nix := &fakeNix{}
	second := w.run(nix, target("box", both[:1], "app"))
	w.same("after the registry was lost", first, second)
	if !slices.Contains(nix.calls, "nix-build") || w.sent() != 5 {
		t.Errorf("calls %v, %d blobs", nix.calls, w.sent())
	}
}

func TestBlobsComeFromTheCache(t *testing.T) {
	w := newWorkshop(t)
	w.mode = cache.Max
	first := w.run(&fakeNix{}, target("box", both[:1], "app"))
	w.open()
	nix := &fakeNix{}
	second := w.run(nix, target("box", both[:1], "app"))
	w.same("with blobs from the cache", first, second)
	if slices.Contains(nix.calls, "nix-build") || w.sent() != 5 {
		t.Errorf("calls %v, %d blobs", nix.calls, w.sent())
	}
}

// poison replaces what the cache knows of an image's first platform.
func (w *workshop) poison(o Target, lie func(*cache.Snapshot)) {
	w.t.Helper()
	builder := newBuilder(w.t, &fakeNix{})
	platforms, err := builder.Closures(w.t.Context(), spec.Nixpkgs{Path: "/pkgs"}, []Target{o})
	if err != nil {
		w.t.Fatal(err)
	}
	place := []cache.Place{{Store: w.store}}
	c := cache.New(place, place, slog.New(slog.DiscardHandler))
	page := cache.NewSnapshot()
	page.AddClosure(platforms[0].Closure)
	ledger := c.Open(w.t.Context(), builder.identity(platforms[0]))
	for _, group := range layers.Plan(platforms[0].Closure, layers.Options{Budget: 94}) {
		key := layers.KeyOf(group, layers.DefaultCompression)
		if record, ok := ledger.Layer(key); ok {
			page.Layers[key] = record
		}
	}
	lie(&page)
	c.Save(w.t.Context(), builder.identity(platforms[0]), page)
}

func TestRecordThatLiesIsNotBelieved(t *testing.T) {
	w := newWorkshop(t)
	box := func() Target { return target("box", both[:1], "app") }
	first := w.run(&fakeNix{}, box())
	w.poison(box(), func(p *cache.Snapshot) {
		for key, record := range p.Layers {
			record.Digest.Hex = strings.Repeat("0", 64)
			p.Layers[key] = record
		}
	})
	second := w.run(&fakeNix{}, box())
	w.same("with lying records", first, second)
	third := w.run(&fakeNix{}, box())
	w.same("after the lie was found out", first, third)
	if w.sent() != 0 {
		t.Errorf("the truth was not kept: %q", w.requests)
	}
}

func TestClosureThatLiesIsNotBelieved(t *testing.T) {
	w := newWorkshop(t)
	box := func() Target { return target("box", both[:1], "app") }
	first := w.run(&fakeNix{}, box())
	w.poison(box(), func(p *cache.Snapshot) {
		info := p.Paths[path("lib")]
		info.NarHash.Hex = strings.Repeat("f", 64)
		p.Paths[path("lib")] = info
	})
	w.same("with a lying closure", first, w.run(&fakeNix{}, box()))
}

// deaf is a store that fails.
type deaf struct{ cache.Store }

func (deaf) Newest(context.Context, cache.Scope) (cache.Entry, error) {
	return cache.Entry{}, &cache.StoreError{Store: "deaf", Op: "reading", Kind: cache.Unreachable, Err: errors.New("silence")}
}

func (deaf) String() string { return "deaf" }

func TestBrokenCacheChangesNothing(t *testing.T) {
	w := newWorkshop(t)
	first := w.run(&fakeNix{}, target("box", both, "app"))
	w.store = deaf{cachetest.NewMemory()}
	w.same("with a cache that fails", first, w.run(&fakeNix{}, target("box", both, "app")))
}

func TestFailedRunTeachesNothing(t *testing.T) {
	store := cachetest.NewMemory()
	place := []cache.Place{{Store: store}}
	builder := newBuilder(t, &fakeNix{})
	builder.Cache = cache.New(place, place, slog.New(slog.DiscardHandler))
	dest := newDestination(t)
	dest.refuse = nil
	dest.Layout.Path = "/dev/null/no"
	o := target("box", both[:1], "app")
	if _, err := run(t, builder, dest, o); err == nil {
		t.Fatal("no error")
	}
	platforms, err := builder.Closures(t.Context(), spec.Nixpkgs{Path: "/pkgs"}, []Target{o})
	if err != nil {
		t.Fatal(err)
	}
	if !builder.Cache.Open(t.Context(), builder.identity(platforms[0])).Empty() {
		t.Error("a run that published nothing was remembered")
	}
}

// A record of another image's run spares packing the layer.
func TestLayersOfOtherImages(t *testing.T) {
	w := newWorkshop(t)
	first := w.run(&fakeNix{}, target("box", both[:1], "app"))
	page := cache.NewSnapshot()
	for _, l := range first.Images[0].Platforms[0].Layers {
		page.Layers[l.Key] = layers.Record{DiffID: l.DiffID, Digest: l.Digest, Size: l.Size}
	}
	var reads atomic.Int64
	measure := func(others *cache.History) *Report {
		t.Helper()
		reads.Store(0)
		builder := newBuilder(t, &fakeNix{})
		builder.Store = countedStore{store(), &reads}
		builder.Shared = others
		report, err := builder.Run(t.Context(), w.source, []Target{target("other", both[:1], "app")}, nil, &Stats{})
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	got := measure((&cache.History{}).With(page))
	if got.Images[0].Digest != first.Images[0].Digest || reads.Load() != 0 {
		t.Errorf("the digest was %s, and is %s; the store was read %d times", first.Images[0].Digest, got.Images[0].Digest, reads.Load())
	}
	if measure(nil); reads.Load() == 0 {
		t.Error("the store is never read, so it proves nothing")
	}
}

// A lie about another image's layer is found out when its bytes are wanted.
func TestLayersOfOtherImagesMayBeLies(t *testing.T) {
	truth, err := run(t, newBuilder(t, &fakeNix{}), newDestination(t), target("box", both[:1], "app"))
	if err != nil {
		t.Fatal(err)
	}
	page := cache.NewSnapshot()
	for _, l := range truth.Images[0].Platforms[0].Layers {
		lie := l.Digest
		lie.Hex = strings.Repeat("0", 64)
		page.Layers[l.Key] = layers.Record{DiffID: l.DiffID, Digest: lie, Size: l.Size}
	}
	builder := newBuilder(t, &fakeNix{})
	builder.Shared = (&cache.History{}).With(page)
	got, err := run(t, builder, newDestination(t), target("other", both[:1], "app"))
	if err != nil || got.Images[0].Digest != truth.Images[0].Digest {
		t.Errorf("it is %v (%v), not %s", got, err, truth.Images[0].Digest)
	}
}

type countedStore struct {
	fstest.MapFS
	reads *atomic.Int64
}

func (s countedStore) Open(name string) (fs.File, error) {
	s.reads.Add(1)
	return s.MapFS.Open(name)
}
