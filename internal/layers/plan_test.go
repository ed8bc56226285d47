package layers

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/org/nixery-action/internal/layers/layerstest"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/popularity"
)

// reference is layering.md word for word, with maps and without a thought for
// speed. The planner must agree with it on every graph.
type reference struct {
	budget    int
	paths     []nix.PathInfo
	info      map[nix.StorePath]nix.PathInfo
	referrers map[nix.StorePath]int
	counts    popularity.Counts
}

func newReference(c nix.Closure, o Options) reference {
	r := reference{budget: max(o.Budget, 1), paths: c.Paths, counts: o.Counts,
		info: map[nix.StorePath]nix.PathInfo{}, referrers: map[nix.StorePath]int{}}
	for _, p := range c.Paths {
		r.info[p.Path] = p
		for _, ref := range p.References {
			r.referrers[ref]++
		}
	}
	return r
}

func (r reference) risk(members []nix.StorePath) int64 {
	seen := map[nix.StorePath]bool{}
	var visit func(p nix.StorePath) int64
	visit = func(p nix.StorePath) int64 {
		if seen[p] {
			return 0
		}
		seen[p] = true
		sum := max(1, 65536/(1+max(r.counts.Of(p.Name()), int64(r.referrers[p]))))
		for _, ref := range r.info[p].References {
			sum += visit(ref)
		}
		return sum
	}
	var sum int64
	for _, m := range members {
		sum += visit(m)
	}
	return sum
}

func (r reference) size(members []nix.StorePath) int64 {
	var sum int64
	for _, m := range members {
		sum += r.info[m].NarSize/1024 + 1
	}
	return sum
}

func (r reference) plan() [][]nix.StorePath {
	var all []nix.StorePath
	roots := 0
	for _, p := range r.paths {
		all = append(all, p.Path)
		if r.referrers[p.Path] == 0 {
			roots++
		}
	}
	var groups [][]nix.StorePath
	if len(all) <= r.budget {
		for _, p := range all {
			groups = append(groups, []nix.StorePath{p})
		}
		return r.order(groups)
	}
	size := func(p nix.StorePath) int64 {
		if roots == 1 && r.referrers[p] == 0 {
			return 0
		}
		return r.info[p].NarSize
	}
	slices.SortFunc(all, func(a, b nix.StorePath) int {
		return cmp.Or(cmp.Compare(size(b), size(a)), layerstest.ByName(a, b))
	})
	solo := max(0, min(3*r.budget/4, r.budget-2))
	for _, p := range all[:solo] {
		groups = append(groups, []nix.StorePath{p})
	}
	var app []nix.StorePath
	var rest [][]nix.StorePath
	for _, p := range all[solo:] {
		if r.budget > 1 && r.referrers[p] == 0 {
			app = append(app, p)
		} else {
			rest = append(rest, []nix.StorePath{p})
		}
	}
	if app != nil {
		groups = append(groups, app)
	}
	slices.SortFunc(rest, func(a, b []nix.StorePath) int {
		return cmp.Or(cmp.Compare(r.risk(a), r.risk(b)), layerstest.ByName(a[0], b[0]))
	})
	for len(rest) > r.budget-len(groups) {
		best, at := int64(-1), 0
		for i := range len(rest) - 1 {
			both := slices.Concat(rest[i], rest[i+1])
			rise := r.size(both)*r.risk(both) - r.size(rest[i])*r.risk(rest[i]) - r.size(rest[i+1])*r.risk(rest[i+1])
			if best < 0 || rise < best {
				best, at = rise, i
			}
		}
		rest[at] = slices.Concat(rest[at], rest[at+1])
		rest = slices.Delete(rest, at+1, at+2)
	}
	return r.order(append(groups, rest...))
}

func (r reference) order(groups [][]nix.StorePath) [][]nix.StorePath {
	for _, g := range groups {
		slices.SortFunc(g, layerstest.ByName)
	}
	hasRoot := func(g []nix.StorePath) int {
		for _, p := range g {
			if r.referrers[p] == 0 {
				return 1
			}
		}
		return 0
	}
	slices.SortFunc(groups, func(a, b []nix.StorePath) int {
		return cmp.Or(cmp.Compare(hasRoot(a), hasRoot(b)),
			cmp.Compare(r.risk(a)*r.size(b), r.risk(b)*r.size(a)),
			cmp.Compare(r.risk(a), r.risk(b)), layerstest.ByName(a[0], b[0]))
	})
	for _, g := range groups {
		slices.Sort(g)
	}
	return groups
}

func FuzzPlan(f *testing.F) {
	for seed := range uint64(16) {
		f.Add(seed, uint16(1+seed*6), uint8(seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64, n uint16, budget uint8) {
		rng := rand.New(rand.NewPCG(seed, 1))
		closure := layerstest.RandomClosure(rng, int(n)%200+1)
		opts := Options{Budget: int(budget) % 100, Counts: popularity.Counts{"p1": 50, "p2": 1000, "p3": 100000}}
		groups := Plan(closure, opts)
		layerstest.CheckPartition(t, closure, groups, opts.Budget)
		if diff := gocmp.Diff(newReference(closure, opts).plan(), layerstest.Paths(groups)); diff != "" {
			t.Errorf("the plan is not layering.md's (-want +got):\n%s", diff)
		}
		rng.Shuffle(len(closure.Paths), func(i, j int) {
			closure.Paths[i], closure.Paths[j] = closure.Paths[j], closure.Paths[i]
		})
		if diff := gocmp.Diff(groups, Plan(closure, opts)); diff != "" {
			t.Errorf("the order of the input changes the plan:\n%s", diff)
		}
	})
}

func TestPlanOfNothingIsEmpty(t *testing.T) {
	if groups := Plan(nix.Closure{}, Options{Budget: 10}); len(groups) != 0 {
		t.Errorf("got %v", groups)
	}
}

func TestPlanSurvivesACycle(t *testing.T) {
	a, b := layerstest.Path("a", 1), layerstest.Path("b", 2)
	closure := nix.Closure{Paths: []nix.PathInfo{
		{Path: a, References: []nix.StorePath{b}}, {Path: b, References: []nix.StorePath{a}},
	}}
	layerstest.CheckPartition(t, closure, Plan(closure, Options{Budget: 1}), 1)
}

// TestPlanGolden holds the plan of a real closure, so that a changed rule shows
// what it changes. Run with -update to accept.
func TestPlanGolden(t *testing.T) {
	closure := readClosure(t, "../../testdata/closures/debpkgs-big-bookworm-amd64.json.gz")
	for _, budget := range []int{1, 2, 20, 94} {
		golden := fmt.Sprintf("testdata/plan-%d.golden", budget)
		got := render(Plan(closure, Options{Budget: budget, Counts: popularity.Embedded()}))
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("budget %d: the plan changed (-want +got):\n%s", budget, diff)
		}
	}
}

func render(groups []Group) []byte {
	var b bytes.Buffer
	for i, g := range groups {
		fmt.Fprintf(&b, "%d: %d bytes\n", i+1, g.Size())
		for _, info := range g {
			fmt.Fprintf(&b, "\t%s\n", info.Path)
		}
	}
	return b.Bytes()
}

// readClosure reads what Nix 2.8's path-info prints. It does not use
// nixbuild.ReadClosure, so that a fault there shows there.
func readClosure(t testing.TB, file string) nix.Closure {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var infos []nix.PathInfo
	if err := json.NewDecoder(zr).Decode(&infos); err != nil {
		t.Fatal(err)
	}
	return nix.Closure{Paths: infos}
}

func BenchmarkPlan(b *testing.B) {
	for _, n := range []int{300, 3000, 20000} {
		closure := layerstest.RandomClosure(rand.New(rand.NewPCG(1, 1)), n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Plan(closure, Options{Budget: DefaultBudget, Counts: popularity.Embedded()})
			}
		})
	}
}
