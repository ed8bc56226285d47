package layers

import (
	"cmp"
	"container/heap"
	"slices"
)

// mergeLight divides the light paths into at most slots drafts. Each path starts
// alone, in order of risk; while there are too many, the two neighbours with the
// least rise are merged, so that paths end up beside others that change together
// with them anyway. The rise is the bytes × risk that a merge adds; for three
// paths and two slots:
//
//	size·risk     2·10   3·11   9·50     all risks apart, so a union has the sum
//	rise          5·21 − 20 − 33 = 52    12·61 − 33 − 450 = 249
//	merged        [2+3]         [9]
func (g *graph) mergeLight(light []int, slots int) []draft {
	line := newLine(g, light)
	for count := len(light); count > slots && count > 1; count-- {
		line.mergeCheapest()
	}
	var drafts []draft
	for i := range line.weights {
		if line.alive(i) {
			drafts = append(drafts, draft{Light, line.weights[i].members})
		}
	}
	return drafts
}

// line is a row of neighbours, linked in both directions, and a heap of the costs
// of merging each with its right neighbour. Stale entries of the heap are skipped
// when they are popped.
type line struct {
	g           *graph
	weights     []weight
	left, right []int
	version     []int // of each place; a candidate with an old one is stale
	candidates  candidates
}

const gone = -2 // marks a place whose members moved to its left neighbour

func newLine(g *graph, light []int) *line {
	l := &line{g: g}
	for _, n := range light {
		l.weights = append(l.weights, g.weighOne(n))
	}
	slices.SortFunc(l.weights, func(a, b weight) int {
		return cmp.Or(cmp.Compare(a.risk, b.risk), g.byName(a.members[0], b.members[0]))
	})
	n := len(l.weights)
	l.left, l.right, l.version = make([]int, n), make([]int, n), make([]int, n)
	for i := range n {
		l.left[i], l.right[i] = i-1, i+1
	}
	for i := range n - 1 {
		l.candidates = append(l.candidates, l.candidate(i))
	}
	heap.Init(&l.candidates)
	return l
}

func (l *line) alive(i int) bool { return l.left[i] != gone }

// candidate returns the merge of place i with its right neighbour.
func (l *line) candidate(i int) candidate {
	j := l.right[i]
	a, b := &l.weights[i], &l.weights[j]
	risk := a.risk + l.g.newRisk(a.reach, b.reach)
	rise := (a.size+b.size)*risk - a.size*a.risk - b.size*b.risk
	return candidate{rise: rise, at: i, versions: [2]int{l.version[i], l.version[j]}}
}

func (l *line) mergeCheapest() {
	for {
		c := heap.Pop(&l.candidates).(candidate)
		if l.alive(c.at) && l.right[c.at] < len(l.weights) &&
			c.versions == [2]int{l.version[c.at], l.version[l.right[c.at]]} {
			l.merge(c.at)
			return
		}
	}
}

func (l *line) merge(i int) {
	j := l.right[i]
	l.weights[i] = l.g.join(l.weights[i], l.weights[j])
	l.weights[j] = weight{}
	l.left[j] = gone
	l.version[i]++
	l.version[j]++
	l.right[i] = l.right[j]
	if k := l.right[i]; k < len(l.weights) {
		l.left[k] = i
		heap.Push(&l.candidates, l.candidate(i))
	}
	if h := l.left[i]; h >= 0 {
		heap.Push(&l.candidates, l.candidate(h))
	}
}

// candidate is a possible merge: least rise first, then the lowest place.
type candidate struct {
	rise     int64
	at       int
	versions [2]int
}

type candidates []candidate

func (c candidates) Len() int { return len(c) }
func (c candidates) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(c[i].rise, c[j].rise), cmp.Compare(c[i].at, c[j].at)) < 0
}
func (c candidates) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c *candidates) Push(x any)   { *c = append(*c, x.(candidate)) }
func (c *candidates) Pop() any {
	old := *c
	last := old[len(old)-1]
	*c = old[:len(old)-1]
	return last
}
