package layers

import (
	"cmp"
	"slices"

	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/popularity"
)

// DefaultBudget is the most store layers an image has unless its spec says
// otherwise. Docker stops at 125 layers; Nixery chose 94, and the root layer
// comes on top.
const DefaultBudget = 94

// Options are what a plan depends on beside the closure.
type Options struct {
	Budget int               // most groups allowed; less than 1 counts as 1
	Counts popularity.Counts // may be nil
}

// Group is the store paths that will share a layer, sorted by path, never empty.
type Group []nix.PathInfo

// Size is the sum of the NAR sizes in bytes.
func (g Group) Size() int64 {
	var sum int64
	for _, info := range g {
		sum += info.NarSize
	}
	return sum
}

func (g Group) paths() []nix.StorePath {
	paths := make([]nix.StorePath, len(g))
	for i, info := range g {
		paths[i] = info.Path
	}
	return paths
}

// Plan divides the paths of a closure into at most opts.Budget groups, lowest
// layer first; every path is in exactly one group. It is a pure function: the
// order of the input, the machine and the time do not matter. ExamplePlan draws a
// small one.
//
// Heavy paths get a layer each, as company could only make them change more
// often. Paths that nothing refers to are the application and share one layer:
// it changes with every build. The light rest is merged, neighbours in risk
// first, at the least cost in bytes × risk of a rebuild. See docs/design.md.
func Plan(closure nix.Closure, opts Options) []Group {
	explained := Explain(closure, opts)
	groups := make([]Group, len(explained))
	for i, e := range explained {
		groups[i] = e.Group
	}
	return groups
}

// draft is a group in the making: indices into graph.nodes.
type draft struct {
	tier    Tier
	members []int
}

func singles(tier Tier, nodes []int) []draft {
	drafts := make([]draft, len(nodes))
	for i, n := range nodes {
		drafts[i] = draft{tier, []int{n}}
	}
	return drafts
}

// divide plans a closure that has more paths than the budget. Of a budget of 4,
// for paths of 90, 30, 1.5, 1, 0.2 and 0.1 MB:
//
//	heavy: 3·4/4 = 3, but at most 4−2 = 2     90 | 30
//	application: no path refers to it         1
//	light: the rest, in 4−3 = 1 group         1.5 0.2 0.1
func divide(g *graph, budget int) []draft {
	heavy, light := g.bySize(max(0, min(3*budget/4, budget-2)))
	drafts := singles(Heavy, heavy)
	var app, rest []int
	for _, n := range light {
		if budget > 1 && g.nodes[n].referrers == 0 {
			app = append(app, n)
		} else {
			rest = append(rest, n)
		}
	}
	if len(app) > 0 {
		drafts = append(drafts, draft{Application, app})
	}
	return append(drafts, g.mergeLight(rest, budget-len(drafts))...)
}

// bySize returns the n heaviest nodes and the others. If exactly one path has no
// referrer, that is the image's own application: it changes whatever its
// size, so it counts as size 0.
func (g *graph) bySize(n int) (heavy, light []int) {
	sole, roots := -1, 0
	for i := range g.nodes {
		if g.nodes[i].referrers == 0 {
			sole, roots = i, roots+1
		}
	}
	size := func(i int) int64 {
		if roots == 1 && i == sole {
			return 0
		}
		return g.nodes[i].info.NarSize
	}
	sorted := g.all()
	slices.SortFunc(sorted, func(a, b int) int {
		return cmp.Or(cmp.Compare(size(b), size(a)), g.byName(a, b))
	})
	return sorted[:n], sorted[n:]
}

// order sorts groups so that those that change least, and cost most to pull
// again, are lowest: a client pulls every layer above the first that changed
// (moby/moby#38446). Ascending risk/size is the exchange rule for the expected
// cost of that chain.
func (g *graph) order(drafts []draft) []Explained {
	weights := make([]weight, len(drafts))
	tiers := make(map[int]Tier, len(drafts)) // by first member
	for i, d := range drafts {
		slices.SortFunc(d.members, g.byName)
		weights[i] = g.weigh(d.members)
		tiers[d.members[0]] = d.tier
	}
	slices.SortFunc(weights, func(a, b weight) int {
		return cmp.Or(
			cmp.Compare(btoi(a.hasRoot), btoi(b.hasRoot)),
			compareProducts(a.risk, b.size, b.risk, a.size),
			cmp.Compare(a.risk, b.risk),
			g.byName(a.members[0], b.members[0]),
		)
	})
	explained := make([]Explained, len(weights))
	for i, w := range weights {
		explained[i] = Explained{Group: g.group(w.members), Tier: tiers[w.members[0]], Risk: w.risk}
	}
	return explained
}

func (g *graph) group(members []int) Group {
	group := make(Group, len(members))
	for i, n := range members {
		group[i] = g.nodes[n].info
	}
	slices.SortFunc(group, func(a, b nix.PathInfo) int { return cmp.Compare(a.Path, b.Path) })
	return group
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
