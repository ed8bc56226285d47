package bench

import (
	"math/big"
	"slices"
	"testing"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/layers/layerstest"
	"github.com/org/nixery-action/internal/nix"
)

// planContest is the popularity contest of nixpkgs' dockerTools, which
// nix2container has too: a path counts once, and once more for each way on which
// something reaches it. The most popular get a layer each.
func planContest(c nix.Closure, o layers.Options) []layers.Group {
	g := newGraph(c)
	popularity := g.contest()
	nodes := g.all()
	slices.SortFunc(nodes, func(a, b int) int {
		if by := popularity[b].Cmp(popularity[a]); by != 0 {
			return by
		}
		return g.byName(a, b)
	})
	return g.firstAlone(nodes, o.Budget)
}

// contest is 1 + the sum over all referrers. It grows with the number of ways,
// which no machine word holds.
func (g *graph) contest() []*big.Int {
	popularity := make([]*big.Int, len(g.nodes))
	for i := range popularity {
		popularity[i] = big.NewInt(1)
	}
	for _, n := range referrersFirst(g.references(), g.all()) {
		for _, ref := range g.nodes[n].refs {
			popularity[ref].Add(popularity[ref], popularity[n])
		}
	}
	return popularity
}

func TestContestCountsEveryWay(t *testing.T) {
	g := newGraph(layerstest.Sketch(t, "a 1 > b c", "b 1 > d", "c 1 > d", "d 1 > e", "e 1"))
	want := map[string]int64{"a": 1, "b": 2, "c": 2, "d": 5, "e": 6}
	for i, got := range g.contest() {
		if name := g.nodes[i].info.Path.Name(); got.Int64() != want[name] {
			t.Errorf("%s: got %v, want %d", name, got, want[name])
		}
	}
}
