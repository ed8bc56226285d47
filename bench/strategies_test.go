package bench

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/layers/layerstest"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/popularity"
)

// strategy divides a closure into at most Budget groups, lowest layer first: this
// plan, or that of another tool.
type strategy struct {
	name string
	plan planFunc
}

type planFunc func(nix.Closure, layers.Options) []layers.Group

const ours, nixery, noTable = "this plan", "Nixery", ", no table"

// strategies are the columns of the benchmark. Only Nixery and this plan read
// counts.
var strategies = []strategy{
	{"one layer", planOneLayer},
	{"contest", planContest},
	{nixery, planNixery},
	{nixery + noTable, withoutTable(planNixery)},
	{"auto-layer", planAutoLayer},
	{"largest first", planLargestFirst},
	{ours, layers.Plan},
	{ours + noTable, withoutTable(layers.Plan)},
}

func withoutTable(plan planFunc) planFunc {
	return func(c nix.Closure, o layers.Options) []layers.Group {
		return plan(c, layers.Options{Budget: o.Budget})
	}
}

func planOneLayer(c nix.Closure, _ layers.Options) []layers.Group {
	g := newGraph(c)
	return []layers.Group{g.group(g.all())}
}

// planLargestFirst is much as apko does it: the largest alone, and one layer on
// top for the rest.
func planLargestFirst(c nix.Closure, o layers.Options) []layers.Group {
	g := newGraph(c)
	largest := g.all()
	slices.SortFunc(largest, func(a, b int) int {
		return cmp.Or(cmp.Compare(g.nodes[b].info.NarSize, g.nodes[a].info.NarSize), g.byName(a, b))
	})
	return g.firstAlone(largest, o.Budget)
}

// TestBaselines shows the character of each strategy on one small image.
func TestBaselines(t *testing.T) {
	image := layerstest.Sketch(t, "app 1 > jvm curl", "jvm 90 > zlib libc", "curl 2 > zlib ssl libc", "ssl 5 > libc", "zlib 1 > libc", "libc 30")
	for _, test := range []struct {
		plan   planFunc
		budget int
		want   string
	}{
		{planOneLayer, 9, "app curl jvm libc ssl zlib"},
		{planLargestFirst, 9, "jvm | libc | ssl | curl | app | zlib"},
		{planLargestFirst, 3, "jvm | libc | app curl ssl zlib"},
		{planLargestFirst, 1, "app curl jvm libc ssl zlib"},
		{planContest, 9, "libc | zlib | ssl | curl | jvm | app"},
		{planContest, 3, "libc | zlib | app curl jvm ssl"},
		{planAutoLayer, 9, "libc | zlib | ssl | curl | jvm | app"},
		{planAutoLayer, 4, "libc | ssl | jvm zlib | app curl"},
		{planAutoLayer, 2, "jvm libc zlib | app curl ssl"},
		{planAutoLayer, 1, "app curl jvm libc ssl zlib"},
		{planNixery, 9, "app curl ssl | jvm | zlib | libc"},
		{planNixery, 2, "app curl ssl | jvm libc zlib"},
	} {
		if got := layerstest.Drawn(test.plan(image, layers.Options{Budget: test.budget})); got != test.want {
			t.Errorf("budget %d: got %q, want %q", test.budget, got, test.want)
		}
	}
}

// TestStrategiesKeepTheRules: the benchmark compares like with like only if each
// strategy divides the closure within its budget; and its simulated changes rest
// on plans that do not depend on hashes.
func TestStrategiesKeepTheRules(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for _, s := range strategies {
		for _, budget := range []int{1, 2, 7, 20} {
			closure := layerstest.RandomClosure(rng, 60)
			closure.Roots = layerstest.Unreferred(closure)
			opts := layers.Options{Budget: budget, Counts: popularity.Counts{"p1": 50, "p2": 1000}}
			groups := s.plan(closure, opts)
			layerstest.CheckPartition(t, closure, groups, budget)
			other, translate := layerstest.Rehash(rng, closure)
			if diff := gocmp.Diff(translate(layerstest.Paths(groups)), layerstest.Paths(s.plan(other, opts))); diff != "" {
				t.Errorf("%s, budget %d: other hashes, other plan:\n%s", s.name, budget, diff)
			}
		}
	}
}
