// Package layerstest makes closures for the tests of planners, writes plans down and checks them: for the tests of layers, and for
// bench, which compares the planner with others. It does not import layers, so that the tests of that package may use it: a group is
// any slice of [nixbuild.PathInfo].
package layerstest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/org/nixery-action/internal/nix"
)

// Path returns a store path whose hash is the number n in Nix's base 32, with leading zeros.
//
//	Path("app-1.0", 33)  ▶  /nix/store/00000000000000000000000000000011-app-1.0
func Path(name string, n int) nix.StorePath {
	const digits = "0123456789abcdfghijklmnpqrsvwxyz"
	hash := []byte(strings.Repeat("0", 32))
	for i := 31; n > 0; i, n = i-1, n/32 {
		hash[i] = digits[n%32]
	}
	return nix.StorePath(nix.StoreDir + "/" + string(hash) + "-" + name)
}

// Sketch returns the closure of lines such as "app 3 > lib libc": a name, its megabytes, and the names it refers to. Its roots are the
// paths that no other refers to.
func Sketch(t testing.TB, lines ...string) nix.Closure {
	t.Helper()
	var c nix.Closure
	for _, line := range lines {
		var name string
		var megabytes int64
		head, refs, _ := strings.Cut(line, ">")
		if _, err := fmt.Sscan(head, &name, &megabytes); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		info := nix.PathInfo{Path: Path(name, 0), NarSize: megabytes * 1e6}
		for _, ref := range strings.Fields(refs) {
			info.References = append(info.References, Path(ref, 0))
		}
		c.Paths = append(c.Paths, info)
	}
	c.Roots = Unreferred(c)
	return c
}

// Drawn writes a plan in one line, the lowest layer first: "libc | lib tool | app".
func Drawn[G ~[]nix.PathInfo](groups []G) string {
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

// Paths returns the store paths of each group.
func Paths[G ~[]nix.PathInfo](groups []G) [][]nix.StorePath {
	paths := make([][]nix.StorePath, len(groups))
	for i, g := range groups {
		for _, info := range g {
			paths[i] = append(paths[i], info.Path)
		}
	}
	return paths
}

// CheckPartition fails the test unless groups are at most budget (at least one is allowed), each is sorted and not empty, and each path
// of the closure is in exactly one of them.
func CheckPartition[G ~[]nix.PathInfo](t testing.TB, closure nix.Closure, groups []G, budget int) {
	t.Helper()
	if len(groups) > max(budget, 1) {
		t.Errorf("%d groups for a budget of %d", len(groups), budget)
	}
	var got []nix.StorePath
	for _, g := range Paths(groups) {
		if len(g) == 0 || !slices.IsSorted(g) {
			t.Errorf("a group must be sorted and not empty: %v", g)
		}
		got = append(got, g...)
	}
	slices.Sort(got)
	var want []nix.StorePath
	for _, info := range closure.Paths {
		want = append(want, info.Path)
	}
	slices.Sort(want)
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("each path must be in exactly one group:\n%s", diff)
	}
}

// RandomClosure draws an acyclic graph of n paths: many small paths, few large ones, and equal sizes and names often enough for every
// tie to be broken. It has no roots.
func RandomClosure(rng *rand.Rand, n int) nix.Closure {
	infos := make([]nix.PathInfo, n)
	for i := range infos {
		name := fmt.Sprintf("p%d-%d.0", rng.IntN(n/2+1), rng.IntN(3))
		infos[i] = nix.PathInfo{Path: Path(name, rng.IntN(1<<30)<<10|i), NarSize: 1 << rng.IntN(28)}
		for range min(i, rng.IntN(6)) {
			infos[i].References = append(infos[i].References, infos[rng.IntN(i)].Path)
		}
		slices.Sort(infos[i].References)
		infos[i].References = slices.Compact(infos[i].References)
	}
	slices.SortFunc(infos, func(a, b nix.PathInfo) int { return cmp.Compare(a.Path, b.Path) })
	return nix.Closure{Paths: infos}
}

// Unreferred returns the paths that no other path of the closure refers to, sorted.
func Unreferred(c nix.Closure) []nix.StorePath {
	referred := map[nix.StorePath]bool{}
	for _, info := range c.Paths {
		for _, ref := range info.References {
			referred[ref] = referred[ref] || ref != info.Path
		}
	}
	var paths []nix.StorePath
	for _, info := range c.Paths {
		if !referred[info.Path] {
			paths = append(paths, info.Path)
		}
	}
	slices.Sort(paths)
	return paths
}

// ByName compares store paths by name, then by hash.
func ByName(a, b nix.StorePath) int {
	return cmp.Or(cmp.Compare(a.Name(), b.Name()), cmp.Compare(a.Hash(), b.Hash()))
}

// Rehash returns the closure with another hash for each path, and a function that translates groups of old paths into groups of new
// ones. Paths of one name keep their order, since that breaks ties; paths of different names do not.
//
//	…1-lib-1, …2-lib-1, …3-zlib-1  ▶  …5-lib-1, …9-lib-1, …4-zlib-1
func Rehash(rng *rand.Rand, c nix.Closure) (nix.Closure, func([][]nix.StorePath) [][]nix.StorePath) {
	byName := slices.SortedFunc(slices.Values(c.Paths), func(a, b nix.PathInfo) int { return ByName(a.Path, b.Path) })
	renamed := map[nix.StorePath]nix.StorePath{}
	for i, info := range byName {
		// Hashes grow at random steps within the block of one name; a mask by name shuffles the blocks.
		mask := 0
		for _, b := range []byte(info.Path.Name()) {
			mask = mask*31 + int(b)
		}
		renamed[info.Path] = Path(info.Path.Name(), (i<<16|rng.IntN(1<<16))^(mask&0xffff<<40))
	}
	translate := func(paths []nix.StorePath) []nix.StorePath {
		translated := make([]nix.StorePath, len(paths))
		for i, p := range paths {
			translated[i] = renamed[p]
		}
		slices.Sort(translated)
		return translated
	}
	other := nix.Closure{Roots: translate(c.Roots)}
	for _, info := range c.Paths {
		info.Path, info.References = renamed[info.Path], translate(info.References)
		other.Paths = append(other.Paths, info)
	}
	slices.SortFunc(other.Paths, func(a, b nix.PathInfo) int { return cmp.Compare(a.Path, b.Path) })
	return other, func(groups [][]nix.StorePath) [][]nix.StorePath {
		translated := make([][]nix.StorePath, len(groups))
		for i := range groups {
			translated[i] = translate(groups[i])
		}
		return translated
	}
}
