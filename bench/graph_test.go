package bench

import (
	"cmp"
	"slices"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/layers/layerstest"
	"github.com/org/nixery-action/internal/nix"
)

// graph is a closure with indices for paths: what the rivals' planners and the costs of changes are computed on. It is not the graph of
// internal/layers, so that a fault there shows here.
type graph struct {
	nodes []node   // sorted by path
	reach []bitset // per node: itself and all it reaches
}

type node struct {
	info      nix.PathInfo
	refs      []int // indices of the paths it refers to, itself not among them
	referrers int   // how many paths of this closure refer to it
}

func newGraph(closure nix.Closure) *graph {
	paths := slices.SortedFunc(slices.Values(closure.Paths), func(a, b nix.PathInfo) int { return cmp.Compare(a.Path, b.Path) })
	g := &graph{nodes: make([]node, len(paths))}
	index := map[nix.StorePath]int{}
	for i, info := range paths {
		g.nodes[i].info = info
		index[info.Path] = i
	}
	for i, info := range paths {
		for _, ref := range info.References {
			if j, ok := index[ref]; ok && j != i {
				g.nodes[i].refs = append(g.nodes[i].refs, j)
				g.nodes[j].referrers++
			}
		}
	}
	g.reach = g.emptySets()
	for _, n := range slices.Backward(referrersFirst(g.references(), g.all())) {
		g.reach[n].set(n)
		for _, ref := range g.nodes[n].refs {
			g.reach[n].add(g.reach[ref])
		}
	}
	return g
}

func (g *graph) all() []int {
	all := make([]int, len(g.nodes))
	for i := range all {
		all[i] = i
	}
	return all
}

func (g *graph) byName(a, b int) int {
	return layerstest.ByName(g.nodes[a].info.Path, g.nodes[b].info.Path)
}

func (g *graph) references() [][]int {
	edges := make([][]int, len(g.nodes))
	for i, n := range g.nodes {
		edges[i] = n.refs
	}
	return edges
}

// referrersFirst lists all that starts reach, each node after all that refer to it.
func referrersFirst(edges [][]int, starts []int) []int {
	var order []int
	seen := make([]bool, len(edges))
	var visit func(n int)
	visit = func(n int) {
		if seen[n] {
			return
		}
		seen[n] = true
		for _, ref := range edges[n] {
			visit(ref)
		}
		order = append(order, n)
	}
	for _, n := range starts {
		visit(n)
	}
	slices.Reverse(order)
	return order
}

func (g *graph) group(members []int) layers.Group {
	group := make(layers.Group, len(members))
	for i, n := range members {
		group[i] = g.nodes[n].info
	}
	slices.SortFunc(group, func(a, b nix.PathInfo) int { return cmp.Compare(a.Path, b.Path) })
	return group
}

// firstAlone gives the first budget-1 nodes a group each, and the rest one.
func (g *graph) firstAlone(nodes []int, budget int) []layers.Group {
	alone := len(nodes)
	if alone > budget {
		alone = max(budget, 1) - 1
	}
	var groups []layers.Group
	for _, n := range nodes[:alone] {
		groups = append(groups, g.group([]int{n}))
	}
	if rest := nodes[alone:]; len(rest) > 0 {
		groups = append(groups, g.group(rest))
	}
	return groups
}

func (g *graph) bytesOf(set bitset) int64 {
	var sum int64
	for i := range g.nodes {
		if set.has(i) {
			sum += g.nodes[i].info.NarSize
		}
	}
	return sum
}

func (g *graph) emptySets() []bitset {
	sets := make([]bitset, len(g.nodes))
	for i := range sets {
		sets[i] = newBitset(len(g.nodes))
	}
	return sets
}

// bitset is a set of indices of nodes.
type bitset []uint64

func newBitset(n int) bitset    { return make(bitset, (n+63)/64) }
func (b bitset) set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bitset) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b bitset) add(more bitset) {
	for i, word := range more {
		b[i] |= word
	}
}
