package layers

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/org/nixery-action/internal/layers/layerstest"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/popularity"
)

// FuzzPlanDoesNotReadHashes: whatever the hashes are, the same paths share a
// layer and lie in the same order, as long as paths of one name sort alike. So a
// rebuild that changes no graph, name or size changes no plan.
func FuzzPlanDoesNotReadHashes(f *testing.F) {
	for seed := range uint64(16) {
		f.Add(seed, uint16(1+seed*6), uint8(seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64, n uint16, budget uint8) {
		rng := rand.New(rand.NewPCG(seed, 2))
		closure := layerstest.RandomClosure(rng, int(n)%200+1)
		opts := Options{Budget: int(budget) % 100, Counts: popularity.Counts{"p1": 50, "p2": 1000}}
		other, translate := layerstest.Rehash(rng, closure)
		if diff := gocmp.Diff(translate(layerstest.Paths(Plan(closure, opts))), layerstest.Paths(Plan(other, opts))); diff != "" {
			t.Errorf("other hashes, other plan (-want +got):\n%s", diff)
		}
	})
}

// FuzzPlanWithAnotherApplication adds a path that nothing refers to.
//
// If the image has an application layer, and the new path is lighter than every
// heavy one, refers to no root and changes no hazard, then that layer gains the
// path, and all others stay as they are: the same paths, and those that hold no
// root in the same order, below. (A sole root must be light too, or it becomes
// a heavy path when it is sole no longer.)
//
// Whatever the new path is and refers to, at most two heavy paths lose the layer
// that each has alone: one to the new path, and one to a root that was sole.
func FuzzPlanWithAnotherApplication(f *testing.F) {
	for seed := range uint64(64) {
		f.Add(seed, uint16(20+seed*5), uint8(seed*3))
	}
	f.Fuzz(func(t *testing.T, seed uint64, n uint16, budget uint8) {
		rng := rand.New(rand.NewPCG(seed, 3))
		closure := layerstest.RandomClosure(rng, int(n)%200+1)
		opts := Options{Budget: int(budget)%100 + 1, Counts: randomCounts(rng, closure)}
		app := randomApplication(rng, closure)
		more := nix.Closure{Paths: append(slices.Clone(closure.Paths), app)}
		before, after := Explain(closure, opts), Explain(more, opts)
		checkHeavyStay(t, before, after)
		if joinsApplication(before, app) && !refersToRoot(closure, app) && sameHazards(closure, more, opts) {
			checkOnlyApplicationGrows(t, before, after, app)
		}
	})
}

// randomCounts is no table, or one that knows every path, and more referrers of
// it than the closure has.
func randomCounts(rng *rand.Rand, c nix.Closure) popularity.Counts {
	if rng.IntN(4) == 0 {
		return nil
	}
	counts := popularity.Counts{}
	for _, info := range c.Paths {
		counts[popularity.Name(info.Path.Name())] = 256 << rng.IntN(10)
	}
	return counts
}

func randomApplication(rng *rand.Rand, c nix.Closure) nix.PathInfo {
	app := nix.PathInfo{Path: layerstest.Path("app-1", rng.IntN(1<<30)), NarSize: 1 << rng.IntN(28)}
	for range rng.IntN(6) {
		app.References = append(app.References, c.Paths[rng.IntN(len(c.Paths))].Path)
	}
	slices.Sort(app.References)
	app.References = slices.Compact(app.References)
	return app
}

// joinsApplication says whether there is an application layer, and neither the
// new path nor that layer is as large as a heavy path.
func joinsApplication(before []Explained, app nix.PathInfo) bool {
	smallest, has := int64(math.MaxInt64), false
	light := app.NarSize
	for _, e := range before {
		switch e.Tier {
		case Heavy:
			smallest = min(smallest, e.Group.Size())
		case Application:
			has = true
			if len(e.Group) == 1 {
				light = max(light, e.Group.Size())
			}
		}
	}
	return has && light < smallest
}

func refersToRoot(c nix.Closure, app nix.PathInfo) bool {
	return slices.ContainsFunc(layerstest.Unreferred(c), func(root nix.StorePath) bool {
		return slices.Contains(app.References, root)
	})
}

func sameHazards(before, after nix.Closure, opts Options) bool {
	hazards := map[nix.StorePath]int64{}
	for _, n := range newGraph(after, opts.Counts).nodes {
		hazards[n.info.Path] = n.hazard
	}
	for _, n := range newGraph(before, opts.Counts).nodes {
		if hazards[n.info.Path] != n.hazard {
			return false
		}
	}
	return true
}

func checkOnlyApplicationGrows(t *testing.T, before, after []Explained, app nix.PathInfo) {
	t.Helper()
	grown := slices.Clone(before)
	for i, e := range grown {
		if e.Tier == Application {
			grown[i].Group = append(slices.Clone(e.Group), app)
			slices.SortFunc(grown[i].Group, func(a, b nix.PathInfo) int { return cmp.Compare(a.Path, b.Path) })
		}
	}
	if diff := gocmp.Diff(sorted(grown), sorted(after)); diff != "" {
		t.Errorf("a light application changes other layers than its own (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff(rootless(grown), rootless(after)); diff != "" {
		t.Errorf("a light application changes the order of layers below (-want +got):\n%s", diff)
	}
}

func sorted(layers []Explained) [][]nix.StorePath {
	return slices.SortedFunc(slices.Values(layerstest.Paths(groupsOf(layers))), slices.Compare)
}

// rootless are the layers that hold nothing but what others refer to.
func rootless(layers []Explained) [][]nix.StorePath {
	var all nix.Closure
	for _, e := range layers {
		all.Paths = append(all.Paths, e.Group...)
	}
	roots := layerstest.Unreferred(all)
	return slices.DeleteFunc(layerstest.Paths(groupsOf(layers)), func(paths []nix.StorePath) bool {
		return slices.ContainsFunc(paths, func(p nix.StorePath) bool { return slices.Contains(roots, p) })
	})
}

func groupsOf(layers []Explained) []Group {
	groups := make([]Group, len(layers))
	for i, e := range layers {
		groups[i] = e.Group
	}
	return groups
}

func checkHeavyStay(t *testing.T, before, after []Explained) {
	t.Helper()
	alone := map[nix.StorePath]bool{}
	for _, e := range after {
		if e.Tier == Heavy {
			alone[e.Group[0].Path] = true
		}
	}
	var lost []nix.StorePath
	for _, e := range before {
		if e.Tier == Heavy && !alone[e.Group[0].Path] {
			lost = append(lost, e.Group[0].Path)
		}
	}
	if len(lost) > 2 {
		t.Errorf("one more application, and %d heavy paths lost their layers: %v", len(lost), lost)
	}
}

// TestTwoHeavyPathsMayLoseTheirLayers shows that the bound is not too wide.
func TestTwoHeavyPathsMayLoseTheirLayers(t *testing.T) {
	image := []string{"root 100 > a b c d", "a 50", "b 40", "c 39", "d 38"}
	for _, test := range []struct {
		want string
		more []string
	}{
		{"a | b | c d | root", nil},
		{"a b | c d | app | root", []string{"app 90"}},
	} {
		if got := layerstest.Drawn(Plan(layerstest.Sketch(t, append(test.more, image...)...), Options{Budget: 4})); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
