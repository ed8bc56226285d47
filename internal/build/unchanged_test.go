package build

import (
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/cache/cachetest"
	"github.com/org/nixery-action/internal/spec"
)

// newPinnedWorkshop has a source that is there, so that it can be pinned.
func newPinnedWorkshop(t *testing.T) *workshop {
	w := newWorkshop(t)
	w.source.Path = t.TempDir()
	w.edit("{ }")
	return w
}

// edit changes the source.
func (w *workshop) edit(text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.source.Path, "default.nix"), []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// asked lists the requests but for those that learn how to log in.
func (w *workshop) asked() []string {
	return slices.DeleteFunc(slices.Clone(w.requests), func(r string) bool { return r == "GET /v2/" })
}

func TestUnchangedSourceCostsNothing(t *testing.T) {
	w := newPinnedWorkshop(t)
	first := w.run(&fakeNix{}, target("box", both, "app"))
	if first.Source.Source != "path" || !strings.HasPrefix(first.Source.Pinned, "files ") {
		t.Errorf("source %v", first.Source)
	}
	nix := &fakeNix{}
	second := w.run(nix, target("box", both, "app"))
	w.same("unchanged", first, second)
	if len(nix.calls) != 0 {
		t.Errorf("processes %q", nix.calls)
	}
	got := w.asked()
	slices.Sort(got)
	want := []string{"HEAD /v2/box/manifests/" + first.Images[0].Digest.String(), "HEAD /v2/box/manifests/latest"}
	for _, p := range first.Images[0].Platforms {
		want = append(want, "HEAD /v2/box/manifests/"+p.Digest.String())
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// A tag that is elsewhere is moved, by two requests more; two others read the manifest and configuration that it stood for.
func TestUnchangedImageGetsItsTag(t *testing.T) {
	w := newPinnedWorkshop(t)
	first := w.run(&fakeNix{}, target("box", both[:1], "app"))
	w.edit("{ moved = true; }")
	w.run(&fakeNix{}, target("box", both[:1], "lib"))
	w.edit("{ }")
	nix := &fakeNix{}
	w.same("after another image", first, w.run(nix, target("box", both[:1], "app")))
	if len(nix.calls) != 0 || len(w.asked()) != 6 || !slices.Contains(w.requests, "PUT /v2/box/manifests/latest") {
		t.Errorf("processes %q, requests %q", nix.calls, w.requests)
	}
}

// Whatever may change what packages evaluate to takes an evaluation; what does not, none.
func TestWhatTakesAnEvaluation(t *testing.T) {
	for title, c := range map[string]struct {
		change    func(*workshop, *Target)
		evaluates bool
	}{
		"source":        {func(w *workshop, _ *Target) { w.edit("{  }") }, true},
		"config":        {func(w *workshop, _ *Target) { w.source.Config = map[string]any{"a": 1} }, true},
		"packages":      {func(_ *workshop, o *Target) { o.Packages = []string{"app", "lib"} }, true},
		"architectures": {func(_ *workshop, o *Target) { o.Architectures = both }, true},
		"another spec":  {func(w *workshop, _ *Target) { w.spec = "other.yaml" }, true},
		"no cache":      {func(w *workshop, _ *Target) { w.store = cachetest.NewMemory() }, true},
		"label":         {func(_ *workshop, o *Target) { o.Config.Labels = map[string]string{"a": "b"} }, false},
		"budget":        {func(_ *workshop, o *Target) { o.Layers.Budget = 90 }, false},
		"created":       {func(w *workshop, _ *Target) { w.created = time.Unix(9, 0) }, false},
		"format":        {func(_ *workshop, o *Target) { o.Format = spec.OCI }, false},
	} {
		t.Run(title, func(t *testing.T) {
			w := newPinnedWorkshop(t)
			o := target("box", both[:1], "app")
			w.run(&fakeNix{}, o)
			c.change(w, &o)
			nix := &fakeNix{}
			got := w.run(nix, o)
			if slices.Contains(nix.calls, "nix-instantiate") != c.evaluates {
				t.Errorf("processes %q", nix.calls)
			}
			w.store = cachetest.NewMemory()
			w.same(title, w.run(&fakeNix{}, o), got)
		})
	}
}

// The registry lost something: what it needs is sent, and nothing is made.
func TestLostManifestIsSentAgain(t *testing.T) {
	for _, lost := range []string{"index", "manifest"} {
		w := newPinnedWorkshop(t)
		first := w.run(&fakeNix{}, target("box", both, "app"))
		gone := first.Images[0].Digest.String()
		if lost == "manifest" {
			gone = first.Images[0].Platforms[1].Digest.String()
		}
		w.refuse = func(r *http.Request) bool { return r.Method == http.MethodHead && strings.HasSuffix(r.URL.Path, gone) }
		nix := &fakeNix{}
		w.same("without its "+lost, first, w.run(nix, target("box", both, "app")))
		if len(nix.calls) != 0 || w.sent() != 0 || !slices.Contains(w.requests, "PUT /v2/box/manifests/"+gone) {
			t.Errorf("%s: processes %q, requests %q", lost, nix.calls, w.requests)
		}
	}
}

// An empty registry takes everything: only then is there an evaluation, and a check before it.
func TestLostRegistryTakesAnEvaluation(t *testing.T) {
	w := newPinnedWorkshop(t)
	first := w.run(&fakeNix{}, target("box", both[:1], "app"))
	w.open()
	nix := &fakeNix{}
	w.same("after the registry was lost", first, w.run(nix, target("box", both[:1], "app")))
	if diff := cmp.Diff([]string{"nix-instantiate", "nix-build", "nix-store", "nix-store"}, nix.calls); diff != "" {
		t.Errorf("processes (-want +got):\n%s", diff)
	}
	w.open()
	w.mode = cache.Max
	w.run(&fakeNix{}, target("box", both[:1], "app"))
	w.open()
	nix = &fakeNix{}
	w.same("with blobs from the cache", first, w.run(nix, target("box", both[:1], "app")))
	if len(nix.calls) != 0 || w.sent() != 5 {
		t.Errorf("processes %q, %d blobs", nix.calls, w.sent())
	}
}

// Roots that lie are found out when something is made of them: also if all the paths are the same.
func TestRootsThatLieAreNotBelieved(t *testing.T) {
	for title, lie := range map[string][]cache.Root{
		"other paths": {{Name: "app", Path: path("lib")}},
		"same paths":  {{Name: "app", Path: path("app-x86_64-linux")}, {Name: "cacert", Path: path("cacert")}, {Name: "lib", Path: path("lib")}},
	} {
		w := newPinnedWorkshop(t)
		box := func() Target { return target("box", both[:1], "app") }
		first := w.run(&fakeNix{}, box())
		w.learn(box(), lie)
		w.open()
		w.same("with "+title, first, w.run(&fakeNix{}, box()))
		nix := &fakeNix{}
		w.same("after the lie was found out", first, w.run(nix, box()))
		if len(nix.calls) != 0 {
			t.Errorf("%s: the truth was not kept: %q", title, nix.calls)
		}
	}
}

// learn saves roots as what the first platform of an image evaluated to.
func (w *workshop) learn(o Target, roots []cache.Root) {
	w.t.Helper()
	builder := newBuilder(w.t, &fakeNix{})
	place := []cache.Place{{Store: w.store}}
	builder.Cache = cache.New(place, place, slog.New(slog.DiscardHandler))
	source, err := builder.Pin(w.t.Context(), w.source)
	if err != nil {
		w.t.Fatal(err)
	}
	platforms, err := platformsOf([]Target{o})
	if err != nil {
		w.t.Fatal(err)
	}
	page := cache.NewSnapshot()
	page.Roots[source.keyOf(platforms[0])] = roots
	builder.Cache.Save(w.t.Context(), builder.identity(platforms[0]), page)
}

// Other destinations than registries are checked before anything else.
func TestFilesAreCheckedFirst(t *testing.T) {
	dest := newDestination(t)
	dest.refuse = fs.ErrPermission
	nix := &fakeNix{}
	if _, err := run(t, newBuilder(t, nix), dest, target("box", both, "app")); err == nil || len(nix.calls) != 0 {
		t.Errorf("error %v, processes %q", err, nix.calls)
	}
}

// A registry that refuses is noticed before anything is evaluated, and on a first run before the source is asked for.
func TestRegistryIsCheckedBeforeNixRuns(t *testing.T) {
	w := newPinnedWorkshop(t)
	w.run(&fakeNix{}, target("box", both, "app"))
	w.refuse = func(r *http.Request) bool { return r.Method == http.MethodPost }
	w.edit("{  }")
	w.refused("another source")
	w.store = cachetest.NewMemory()
	w.source = spec.Nixpkgs{Git: &spec.Git{URL: "file:///x", Ref: "main"}}
	w.refused("a first run")
}

// refused wants a run that fails without a process.
func (w *workshop) refused(when string) {
	w.t.Helper()
	o := target("box", both, "app")
	nix := &fakeNix{}
	builder := newBuilder(w.t, nix)
	place := []cache.Place{{Store: w.store}}
	builder.Cache = cache.New(place, place, slog.New(slog.DiscardHandler))
	if _, err := builder.Run(w.t.Context(), w.source, []Target{o}, w.destinations(&Stats{}, o), &Stats{}); err == nil || len(nix.calls) != 0 {
		w.t.Errorf("%s: error %v, processes %q", when, err, nix.calls)
	}
}

// Verify evaluates, and reports packages that differ from the cached ones.
func TestVerifyEvaluates(t *testing.T) {
	w := newPinnedWorkshop(t)
	box := func() Target { return target("box", both[:1], "app") }
	first := w.run(&fakeNix{}, box())
	w.verify = true
	nix := &fakeNix{}
	w.same("verified", first, w.run(nix, box()))
	if !slices.Contains(nix.calls, "nix-instantiate") {
		t.Errorf("processes %q", nix.calls)
	}
	w.learn(box(), []cache.Root{{Name: "app", Path: path("lib")}})
	if _, err := w.try(&fakeNix{}, box()); err == nil || !strings.Contains(err.Error(), "but the cache says [{app "+string(path("lib"))) {
		t.Errorf("got %v", err)
	}
}
