package explain

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/org/nixery-action/internal/nix"
)

// The plan of the small closure with a budget of four is glibc (30 MB) · python
// (90 MB) · bash, expat, zlib (1.8 MB) · app (1 MB).
func TestRebuildOfTheSmallClosure(t *testing.T) {
	e := explained(small(), 4)
	for name, want := range map[string]Cost{
		"app-1.0":        {Size: 1e6, Ideal: 1e6, Layers: 1},
		"python3-3.11.2": {Size: 91e6, Ideal: 91e6, Layers: 2},
		"bash-5.2":       {Size: 28e5, Ideal: 25e5, Layers: 2},   // its layer, app
		"expat-2.6":      {Size: 928e5, Ideal: 912e5, Layers: 3}, // its layer, python, app
		"zlib-1.3":       {Size: 928e5, Ideal: 911e5, Layers: 3},
		"glibc-2.36":     {Size: 1228e5, Ideal: 1228e5, Layers: 4},
	} {
		for path, got := range e.costs {
			if path.Name() == name && got != want {
				t.Errorf("a change of %s costs %+v, want %+v", name, got, want)
			}
		}
	}
	want := Rebuild{
		Application: Change{Paths: 1, Mean: Cost{1e6, 1e6, 1}, Worst: Cost{1e6, 1e6, 1}, WorstPath: storePath(0, "app-1.0")},
		Library:     Change{Paths: 5, Mean: Cost{80440000, 79720000, 3}, Worst: Cost{1228e5, 1228e5, 4}, WorstPath: storePath(5, "glibc-2.36")},
	}
	if diff := gocmp.Diff(want, e.Rebuild); diff != "" {
		t.Error(diff)
	}
}

// With a layer for each path a rebuild costs the ideal, and with one layer for
// all of them everything.
func TestRebuildBounds(t *testing.T) {
	closure := big(t)
	alone, together := explained(closure, len(closure.Paths)), explained(closure, 1)
	for path, c := range alone.costs {
		if c.Size != c.Ideal {
			t.Errorf("%s: %+v in a plan with a layer for each path", path, c)
		}
		if all := together.costs[path]; all.Size != together.Size() || all.Ideal != c.Ideal || all.Layers != 1 {
			t.Errorf("%s: %+v in a plan with one layer", path, all)
		}
	}
}

// A circle of references is not Nix's, but a file may hold one.
func TestRebuildEndsInACircle(t *testing.T) {
	a, b, c := storePath(1, "a"), storePath(2, "b"), storePath(3, "c")
	closure := nix.Closure{Paths: []nix.PathInfo{
		{Path: a, NarSize: 1, References: []nix.StorePath{b}},
		{Path: b, NarSize: 2, References: []nix.StorePath{a, b}},
		{Path: c, NarSize: 4, References: []nix.StorePath{c, "/nix/store/nowhere"}},
	}}
	e := explained(closure, 10)
	if e.costs[a] != (Cost{3, 3, 2}) || e.costs[b] != (Cost{3, 3, 2}) || e.costs[c] != (Cost{4, 4, 1}) {
		t.Errorf("got %v", e.costs)
	}
	if e.Rebuild.Application.Paths != 1 || e.Rebuild.Library.Paths != 2 {
		t.Errorf("got %+v", e.Rebuild)
	}
}
