package layers

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/popularity"
)

// node is one store path in the graph of a closure.
type node struct {
	info      nix.PathInfo
	refs      []int // indices of the paths it refers to
	referrers int   // how many paths of this closure refer to it
	hazard    int64 // how likely it changes, at least 1
}

// graph is a closure with indices for paths. All arithmetic on it is in
// integers, so that a plan is the same on every machine.
type graph struct {
	nodes []node
	reach []bitset // per node: itself and all it reaches
}

func newGraph(closure nix.Closure, counts popularity.Counts) *graph {
	paths := slices.SortedFunc(slices.Values(closure.Paths), func(a, b nix.PathInfo) int {
		return cmp.Compare(a.Path, b.Path)
	})
	index := make(map[nix.StorePath]int, len(paths))
	g := &graph{nodes: make([]node, len(paths))}
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
	for i := range g.nodes {
		n := &g.nodes[i]
		n.hazard = hazard(max(counts.Of(n.info.Path.Name()), int64(n.referrers)))
	}
	g.findReach()
	return g
}

// hazard falls with the number of referrers, since paths that few refer to are
// applications: 0 ▶ 65536, 1 ▶ 32768, 99 ▶ 655, 65536 and more ▶ 1.
func hazard(count int64) int64 { return max(1, 65536/(1+count)) }

func (g *graph) all() []int {
	all := make([]int, len(g.nodes))
	for i := range all {
		all[i] = i
	}
	return all
}

// byName orders by name, then hash: most ties are then broken by
// something that stays when a path is rebuilt.
func (g *graph) byName(a, b int) int {
	p, q := g.nodes[a].info.Path, g.nodes[b].info.Path
	return cmp.Or(cmp.Compare(p.Name(), q.Name()), cmp.Compare(p.Hash(), q.Hash()))
}

// findReach fills reach, referents before referrers. The walk has its own stack,
// since a chain of 20,000 references is legal.
//
//	app ▶ lib ▶ libc:  reach[libc] = {libc}, reach[lib] = {lib libc}, reach[app] = {app lib libc}
func (g *graph) findReach() {
	g.reach = make([]bitset, len(g.nodes))
	type frame struct{ node, next int }
	for start := range g.nodes {
		if g.reach[start] != nil {
			continue
		}
		stack := []frame{{node: start}}
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			n := top.node
			if g.reach[n] == nil {
				g.reach[n] = newBitset(len(g.nodes))
				g.reach[n].set(n)
			}
			if top.next == len(g.nodes[n].refs) {
				stack = stack[:len(stack)-1]
				for _, ref := range g.nodes[n].refs {
					g.reach[n].add(g.reach[ref])
				}
				continue
			}
			ref := g.nodes[n].refs[top.next]
			top.next++
			if g.reach[ref] == nil {
				stack = append(stack, frame{node: ref})
			}
		}
	}
}

// weight is what the planner compares groups by.
type weight struct {
	members []int
	size    int64  // KiB, so that size × risk stays within 64 bits
	risk    int64  // Σ hazard over all that the members reach
	hasRoot bool   // some member has no referrer in this closure
	reach   bitset // of all members; shared, never written to
}

func (g *graph) weigh(members []int) weight {
	w := g.weighOne(members[0])
	for _, n := range members[1:] {
		w = g.join(w, g.weighOne(n))
	}
	return w
}

func (g *graph) weighOne(n int) weight {
	return weight{
		members: []int{n},
		size:    g.nodes[n].info.NarSize/1024 + 1,
		risk:    g.newRisk(nil, g.reach[n]),
		hasRoot: g.nodes[n].referrers == 0,
		reach:   g.reach[n],
	}
}

// join returns the weight of two groups merged into one.
func (g *graph) join(a, b weight) weight {
	return weight{
		members: append(a.members, b.members...),
		size:    a.size + b.size,
		risk:    a.risk + g.newRisk(a.reach, b.reach),
		hasRoot: a.hasRoot || b.hasRoot,
		reach:   a.reach.union(b.reach),
	}
}

// newRisk returns the risk that more adds to have: Σ hazard over more ∖ have.
// A nil set is empty.
func (g *graph) newRisk(have, more bitset) int64 {
	var sum int64
	for i, word := range more {
		if have != nil {
			word &^= have[i]
		}
		for ; word != 0; word &= word - 1 {
			sum += g.nodes[i*64+bits.TrailingZeros64(word)].hazard
		}
	}
	return sum
}

type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }
func (b bitset) set(i int)   { b[i/64] |= 1 << (i % 64) }
func (b bitset) union(more bitset) bitset {
	both := slices.Clone(b)
	both.add(more)
	return both
}

func (b bitset) add(more bitset) {
	for i, word := range more {
		b[i] |= word
	}
}

// compareProducts compares a·b with c·d without overflow.
func compareProducts(a, b, c, d int64) int {
	hi1, lo1 := bits.Mul64(uint64(a), uint64(b))
	hi2, lo2 := bits.Mul64(uint64(c), uint64(d))
	return cmp.Or(cmp.Compare(hi1, hi2), cmp.Compare(lo1, lo2))
}
