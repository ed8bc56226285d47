package bench

import (
	"cmp"
	"slices"
	"testing"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/layers/layerstest"
	"github.com/org/nixery-action/internal/nix"
)

// planAutoLayer is the newer way of nixpkgs' dockerTools (NixOS/nixpkgs#355189):
// the largest path becomes a primary; any other path belongs to the set of
// nearest primaries that use it, and each such set is a layer. Primaries are
// added while the budget allows. Layers lie in the order of their closures'
// sizes, so that each comes after what it uses.
func planAutoLayer(c nix.Closure, o layers.Options) []layers.Group {
	a := newAutoLayer(newGraph(c))
	largest := a.all()
	slices.SortFunc(largest, func(x, y int) int {
		return cmp.Or(cmp.Compare(a.nodes[y].info.NarSize, a.nodes[x].info.NarSize), a.byName(x, y))
	})
	for _, primary := range largest {
		nearest := a.with(primary)
		if len(tiersOf(nearest)) > max(o.Budget, 1) {
			break
		}
		a.nearest = nearest
	}
	return a.groups()
}

type autoLayer struct {
	*graph
	users   []bitset // per node: itself and all that reaches it
	nearest []bitset // per node: the nearest primaries that use it
}

func newAutoLayer(g *graph) autoLayer {
	a := autoLayer{graph: g, users: g.emptySets(), nearest: g.emptySets()}
	for i, reached := range g.reach {
		for j := range g.nodes {
			if reached.has(j) {
				a.users[j].set(i)
			}
		}
	}
	return a
}

// with is nearest when there is one primary more. What the primary reaches loses
// the primaries beyond it, and gains it unless a nearer one stands between.
func (a autoLayer) with(primary int) []bitset {
	nearest := slices.Clone(a.nearest)
	reached := slices.Clone(a.reach[primary])
	reached[primary/64] &^= 1 << (primary % 64)
	for i := range nearest {
		if !reached.has(i) {
			continue
		}
		nearest[i] = slices.Clone(nearest[i])
		between := false
		for w := range nearest[i] {
			nearest[i][w] &^= a.users[primary][w]
			between = between || nearest[i][w]&reached[w] != 0
		}
		if !between {
			nearest[i].set(primary)
		}
	}
	nearest[primary] = newBitset(len(a.nodes))
	nearest[primary].set(primary)
	return nearest
}

// tiersOf gathers the nodes with equal sets of primaries, in the order of their
// first members.
func tiersOf(nearest []bitset) [][]int {
	index := map[string]int{}
	var tiers [][]int
	for i, set := range nearest {
		key := make([]byte, 0, 8*len(set))
		for _, word := range set {
			for shift := 0; shift < 64; shift += 8 {
				key = append(key, byte(word>>shift))
			}
		}
		at, known := index[string(key)]
		if !known {
			at = len(tiers)
			index[string(key)] = at
			tiers = append(tiers, nil)
		}
		tiers[at] = append(tiers[at], i)
	}
	return tiers
}

func (a autoLayer) groups() []layers.Group {
	tiers := tiersOf(a.nearest)
	closureSize := func(t []int) int64 {
		reached := newBitset(len(a.nodes))
		for _, n := range t {
			reached.add(a.reach[n])
		}
		return a.bytesOf(reached)
	}
	for _, t := range tiers {
		slices.SortFunc(t, a.byName)
	}
	slices.SortFunc(tiers, func(x, y []int) int {
		return cmp.Or(cmp.Compare(closureSize(x), closureSize(y)), a.byName(x[0], y[0]))
	})
	groups := make([]layers.Group, len(tiers))
	for i, t := range tiers {
		groups[i] = a.group(t)
	}
	return groups
}

func TestAutoLayerGroupsByNearestPrimaries(t *testing.T) {
	image := []string{"app 1 > x y", "x 50 > own both", "y 40 > both deep", "deep 30 > under both", "own 1", "both 2", "under 1"}
	for _, test := range []struct {
		budget int
		want   string
	}{
		{1, "app both deep own under x y"},
		{2, "both own x | app deep under y"},
		{4, "both | own x | deep under y | app"},
		{5, "both | deep under | own x | y | app"},
	} {
		if got := layerstest.Drawn(planAutoLayer(layerstest.Sketch(t, image...), layers.Options{Budget: test.budget})); got != test.want {
			t.Errorf("budget %d: got %q, want %q", test.budget, got, test.want)
		}
	}
}

// TestAutoLayerLooksForTheNearest: low stays with mid, which stands between it
// and big, although big is a primary too.
func TestAutoLayerLooksForTheNearest(t *testing.T) {
	image := layerstest.Sketch(t, "top 1 > big", "big 20 > mid own", "mid 50 > low", "low 1", "own 1")
	if got, want := layerstest.Drawn(planAutoLayer(image, layers.Options{Budget: 3})), "low mid | big own | top"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
