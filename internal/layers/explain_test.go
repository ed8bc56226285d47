package layers

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/org/nixery-action/internal/layers/layerstest"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/popularity"
)

// TestExplainTiers holds each tier and risk to the rule that is written in
// docs/design.md, on graphs in which every rule has work to do.
func TestExplainTiers(t *testing.T) {
	counts := popularity.Counts{"p1": 50, "p2": 1000}
	seen := map[Tier]int{}
	for seed := range uint64(20) {
		closure := layerstest.RandomClosure(rand.New(rand.NewPCG(seed, 2)), 60)
		opts := Options{Budget: 12, Counts: counts}
		ref := newReference(closure, opts)
		all := slices.Clone(closure.Paths)
		slices.SortFunc(all, func(a, b nix.PathInfo) int { return int(b.NarSize - a.NarSize) })
		for _, e := range Explain(closure, opts) {
			seen[e.Tier]++
			if want := ref.risk(layerstest.Paths([]Group{e.Group})[0]); e.Risk != want {
				t.Errorf("seed %d: risk %d of %v, want %d", seed, e.Risk, e.Group, want)
			}
			for _, info := range e.Group {
				root := ref.referrers[info.Path] == 0
				if e.Tier == Heavy && (len(e.Group) != 1 || info.NarSize < all[8].NarSize && !root) ||
					(e.Tier == Application) != (root && e.Tier != Heavy) || e.Tier == Single {
					t.Errorf("seed %d: %s of %d bytes (referred to: %v) is %s", seed, info.Path, info.NarSize, !root, e.Tier)
				}
			}
		}
	}
	if seen[Heavy] != 20*9 || seen[Application] != 20 || seen[Light] != 20*2 {
		t.Errorf("of 20 plans with a budget of 12: %v", seen)
	}
}

func TestExplainSingles(t *testing.T) {
	closure := layerstest.RandomClosure(rand.New(rand.NewPCG(1, 2)), 10)
	for _, e := range Explain(closure, Options{Budget: 10}) {
		if e.Tier != Single || len(e.Group) != 1 {
			t.Errorf("%v is %s in a plan that has a layer for every path", e.Group, e.Tier)
		}
	}
}
