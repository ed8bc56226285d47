package bench

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/layers/layerstest"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/popularity"
)

// planNixery groups as Nixery does: each subtree of the dominator tree that
// hangs on the image is a layer, and a big or popular path hangs on the image
// even if only one package refers to it. What exceeds the budget is merged from
// the least rated on, into one layer that grows.
func planNixery(c nix.Closure, o layers.Options) []layers.Group {
	n := newNixeryGraph(c, o.Counts)
	rated := n.rate()
	byRating := func(a, b ratedTier) int {
		return cmp.Or(cmp.Compare(a.rating, b.rating), n.byName(a.members[0], b.members[0]))
	}
	slices.SortFunc(rated, byRating)
	for len(rated) > max(o.Budget, 1) {
		rated[1].members = append(rated[0].members, rated[1].members...)
		rated[1].rating += rated[0].rating
		rated = rated[1:]
	}
	slices.SortFunc(rated, func(a, b ratedTier) int { return byRating(b, a) })
	groups := make([]layers.Group, len(rated))
	for i, r := range rated {
		groups[i] = n.group(r.members)
	}
	return groups
}

type ratedTier struct {
	members []int // its subtree's root first
	rating  float64
}

type nixeryGraph struct {
	*graph
	popularity  []int64
	closureSize []int64
	edges       [][]int // of the nodes, and at the end of the image itself
}

func newNixeryGraph(c nix.Closure, counts popularity.Counts) nixeryGraph {
	g := newGraph(c)
	n := nixeryGraph{graph: g, edges: append(g.references(), nil)}
	var hanging []int
	for i := range g.nodes {
		n.popularity = append(n.popularity, nixeryPopularity(g.nodes[i].info.Path.Name(), counts))
		n.closureSize = append(n.closureSize, g.bytesOf(g.reach[i]))
		_, isRoot := slices.BinarySearch(c.Roots, g.nodes[i].info.Path)
		if isRoot || n.closureSize[i] > 100e6 || n.popularity[i] >= 100 {
			hanging = append(hanging, i)
		}
	}
	n.edges[len(g.nodes)] = hanging
	return n
}

// nixeryPopularity: two packages are in every image of Nixery's, and more
// popular than glibc; what is unknown counts 1.
func nixeryPopularity(name string, counts popularity.Counts) int64 {
	if strings.HasPrefix(name, "nss-cacert") || strings.HasPrefix(name, "iana-etc") {
		return 500_000
	}
	return max(1, counts.Of(name))
}

// rate makes a tier of each subtree that hangs on the image. Its rating is the
// popularity of the subtree's root times the sum of all closure sizes in it, so
// that shared bytes count many times over.
func (n nixeryGraph) rate() []ratedTier {
	image := len(n.nodes)
	dominator := dominators(n.edges, image)
	index := map[int]int{} // subtree's root ▶ place in rated
	var rated []ratedTier
	for _, i := range referrersFirst(n.edges, []int{image})[1:] {
		top := i
		for dominator[top] != image {
			top = dominator[top]
		}
		if top == i {
			index[i] = len(rated)
			rated = append(rated, ratedTier{})
		}
		r := &rated[index[top]]
		r.members = append(r.members, i)
		r.rating += float64(n.popularity[top]) * float64(n.closureSize[i])
	}
	return rated
}

// dominators finds for each node the last one through which every way from root
// to it leads. In a graph without cycles one pass is enough: a node's dominator
// is where those of all its referrers meet.
func dominators(edges [][]int, root int) []int {
	dominator, depth := make([]int, len(edges)), make([]int, len(edges))
	known := make([]bool, len(edges))
	meet := func(a, b int) int {
		for a != b {
			if depth[a] < depth[b] {
				a, b = b, a
			}
			a = dominator[a]
		}
		return a
	}
	known[root] = true
	for _, n := range referrersFirst(edges, []int{root}) {
		if n != root {
			depth[n] = depth[dominator[n]] + 1
		}
		for _, ref := range edges[n] {
			if !known[ref] {
				dominator[ref], known[ref] = n, true
			} else {
				dominator[ref] = meet(dominator[ref], n)
			}
		}
	}
	return dominator
}

func TestNixeryDividesByDominators(t *testing.T) {
	image := []string{"git 40 > perl curl zlib", "perl 20 > crypt zlib", "crypt 1", "curl 2 > ssl zlib", "ssl 5", "zlib 1"}
	for _, test := range []struct {
		name, want string
		lines      []string
		opts       layers.Options
	}{
		{"one root dominates all", "crypt curl git perl ssl zlib", image, layers.Options{Budget: 9}},
		{"two roots share zlib", "crypt git perl | vim | zlib",
			[]string{"git 40 > perl zlib", "perl 20 > crypt zlib", "crypt 1", "vim 40 > zlib", "zlib 1"}, layers.Options{Budget: 9}},
		{"the popular hang on the image", "zlib | ssl | crypt curl git perl",
			image, layers.Options{Budget: 9, Counts: popularity.Counts{"zlib": 4000, "ssl": 100, "curl": 99}}},
		{"so does all whose closure is big", "app tool | lib | jvm",
			[]string{"app 1 > lib tool", "lib 1 > jvm", "jvm 101", "tool 1"}, layers.Options{Budget: 9}},
		{"the least rated are merged, and stay below", "d | c | a b",
			[]string{"a 1", "b 2", "c 4", "d 8"}, layers.Options{Budget: 3}},
		{"the merged layer grows", "a b c d e | f",
			[]string{"a 10", "b 11", "c 12", "d 13", "e 14", "f 15"}, layers.Options{Budget: 2}},
		{"the two of every image are more popular than glibc", "nss-cacert-3 | glibc",
			[]string{"glibc 30", "nss-cacert-3 1"}, layers.Options{Budget: 9, Counts: popularity.Counts{"glibc": 1546}}},
	} {
		if got := layerstest.Drawn(planNixery(layerstest.Sketch(t, test.lines...), test.opts)); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// TestNixeryCountsClosures: shared bytes count many times over, which is how
// lib, of one megabyte, gets ahead of data.
func TestNixeryCountsClosures(t *testing.T) {
	image := layerstest.Sketch(t, "a 1 > b", "b 1 > c", "c 1 > base", "base 20", "data 40")
	if got, want := layerstest.Drawn(planNixery(image, layers.Options{Budget: 9})), "a b base c | data"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
