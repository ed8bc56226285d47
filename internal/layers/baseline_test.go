package layers

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/popularity"
)

// strategy is a way to divide a closure into at most Budget groups, lowest layer
// first: this plan, or what somebody else's tool does.
type strategy struct {
	name string
	plan func(nixbuild.Closure, Options) []Group
}

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
	{ours, Plan},
	{ours + noTable, withoutTable(Plan)},
}

func withoutTable(plan func(nixbuild.Closure, Options) []Group) func(nixbuild.Closure, Options) []Group {
	return func(c nixbuild.Closure, o Options) []Group { return plan(c, Options{Budget: o.Budget}) }
}

func planOneLayer(c nixbuild.Closure, _ Options) []Group {
	g := newGraph(c, nil)
	return []Group{g.group(g.all())}
}

// planLargestFirst is much as apko does it: the largest alone, and one layer on
// top for the rest.
func planLargestFirst(c nixbuild.Closure, o Options) []Group {
	g := newGraph(c, nil)
	largest := g.all()
	slices.SortFunc(largest, func(a, b int) int {
		return cmp.Or(cmp.Compare(g.nodes[b].info.NarSize, g.nodes[a].info.NarSize), g.byName(a, b))
	})
	return g.firstAlone(largest, o.Budget)
}

// firstAlone gives the first budget-1 nodes a group each, and the rest one.
func (g *graph) firstAlone(nodes []int, budget int) []Group {
	alone := len(nodes)
	if alone > budget {
		alone = max(budget, 1) - 1
	}
	var groups []Group
	for _, n := range nodes[:alone] {
		groups = append(groups, g.group([]int{n}))
	}
	if rest := nodes[alone:]; len(rest) > 0 {
		groups = append(groups, g.group(rest))
	}
	return groups
}

// sketch is a closure from lines like "app 3 > lib libc": name, megabytes, and
// what it refers to. Its roots are what nothing refers to.
func sketch(t testing.TB, lines ...string) nixbuild.Closure {
	t.Helper()
	var c nixbuild.Closure
	referred := map[nixbuild.StorePath]bool{}
	for _, line := range lines {
		var name string
		var megabytes int64
		head, refs, _ := strings.Cut(line, ">")
		if _, err := fmt.Sscan(head, &name, &megabytes); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		info := nixbuild.PathInfo{Path: storePath(name, 0), NarSize: megabytes * 1e6}
		for _, ref := range strings.Fields(refs) {
			info.References = append(info.References, storePath(ref, 0))
			referred[storePath(ref, 0)] = true
		}
		c.Paths = append(c.Paths, info)
	}
	for _, info := range c.Paths {
		if !referred[info.Path] {
			c.Roots = append(c.Roots, info.Path)
		}
	}
	return c
}

// drawn is a plan in one line, lowest layer first: "libc | lib tool | app".
func drawn(groups []Group) string {
	var layers []string
	for _, group := range groups {
		var names []string
		for _, info := range group {
			names = append(names, info.Path.Name())
		}
		layers = append(layers, strings.Join(names, " "))
	}
	return strings.Join(layers, " | ")
}

// TestBaselines shows the character of each strategy on one small image.
func TestBaselines(t *testing.T) {
	image := sketch(t, "app 1 > jvm curl", "jvm 90 > zlib libc", "curl 2 > zlib ssl libc", "ssl 5 > libc", "zlib 1 > libc", "libc 30")
	for _, test := range []struct {
		plan   func(nixbuild.Closure, Options) []Group
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
		if got := drawn(test.plan(image, Options{Budget: test.budget})); got != test.want {
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
			closure := randomClosure(rng, 60)
			closure.Roots = unreferred(closure)
			opts := Options{Budget: budget, Counts: popularity.Counts{"p1": 50, "p2": 1000}}
			groups := s.plan(closure, opts)
			checkPartition(t, closure, groups, budget)
			other, translate := rehash(rng, closure)
			if diff := gocmp.Diff(translate(groups), pathsOf(s.plan(other, opts))); diff != "" {
				t.Errorf("%s, budget %d: other hashes, other plan:\n%s", s.name, budget, diff)
			}
		}
	}
}

func unreferred(c nixbuild.Closure) []nixbuild.StorePath {
	var roots []nixbuild.StorePath
	for _, n := range newGraph(c, nil).nodes {
		if n.referrers == 0 {
			roots = append(roots, n.info.Path)
		}
	}
	return roots
}

// rehash gives all paths other hashes; paths of one name keep their order, which
// breaks ties. It returns the closure, and what the groups of the old one are
// called in it.
func rehash(rng *rand.Rand, c nixbuild.Closure) (nixbuild.Closure, func([]Group) [][]nixbuild.StorePath) {
	sorted := slices.SortedFunc(slices.Values(c.Paths), func(a, b nixbuild.PathInfo) int { return nameHash(a.Path, b.Path) })
	renamed := map[nixbuild.StorePath]nixbuild.StorePath{}
	for i, info := range sorted {
		// Names come in blocks, so the hashes grow within each, at random steps.
		renamed[info.Path] = storePath(info.Path.Name(), (i<<16|rng.IntN(1<<16))^blockMask(info.Path.Name()))
	}
	translate := func(paths []nixbuild.StorePath) []nixbuild.StorePath {
		translated := make([]nixbuild.StorePath, len(paths))
		for i, p := range paths {
			translated[i] = renamed[p]
		}
		slices.Sort(translated)
		return translated
	}
	other := nixbuild.Closure{Roots: translate(c.Roots)}
	for _, info := range c.Paths {
		info.Path, info.References = renamed[info.Path], translate(info.References)
		other.Paths = append(other.Paths, info)
	}
	slices.SortFunc(other.Paths, func(a, b nixbuild.PathInfo) int { return cmp.Compare(a.Path, b.Path) })
	return other, func(groups []Group) [][]nixbuild.StorePath {
		paths := pathsOf(groups)
		for i := range paths {
			paths[i] = translate(paths[i])
		}
		return paths
	}
}

// blockMask shuffles blocks of names against each other.
func blockMask(name string) int {
	sum := 0
	for _, b := range []byte(name) {
		sum = sum*31 + int(b)
	}
	return sum & 0xffff << 40
}
