package bench

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/layers/layerstest"
	"github.com/org/nixery-action/internal/nix"
)

// cost is what is sent after a change, in bytes.
type cost struct {
	fresh int64 // in new layers
	above int64 // in all layers from the first on that lies on another stack
}

func (c *cost) add(more cost) {
	c.fresh += more.fresh
	c.above += more.above
}

func (c *cost) count(size int64, fresh, above bool) {
	if fresh {
		c.fresh += size
	}
	if above {
		c.above += size
	}
}

// layer is what tells one layer from another: its store paths.
type layer struct {
	id   [sha256.Size]byte
	size int64
}

func identify(groups []layers.Group) []layer {
	stack := make([]layer, len(groups))
	var text []byte
	for i, g := range groups {
		text = text[:0]
		for _, info := range g {
			text = append(append(text, info.Path...), '\n')
		}
		stack[i] = layer{sha256.Sum256(text), g.Size()}
	}
	return stack
}

// updateCost is that of having the layers of now where those of before are. A
// client has a layer already if its store paths are the same; but one that pulls
// needs, too, that all below it are (moby/moby#38446).
func updateCost(before, now []layer) cost {
	known := map[layer]bool{}
	for _, l := range before {
		known[l] = true
	}
	var c cost
	same := true
	for i, l := range now {
		same = same && i < len(before) && before[i] == l
		c.count(l.size, !known[l], !same)
	}
	return c
}

// fleetCost is the bytes of the distinct layers of many images.
func fleetCost(images ...[]layer) cost {
	var c cost
	known := map[layer]bool{}
	for _, stack := range images {
		for _, l := range stack {
			c.count(l.size, !known[l], false)
			known[l] = true
		}
	}
	return c
}

// distinct is the bytes of the distinct store paths of many images.
func distinct(images ...nix.Closure) int64 {
	var sum int64
	known := map[nix.StorePath]bool{}
	for _, image := range images {
		for _, info := range image.Paths {
			if !known[info.Path] {
				sum += info.NarSize
			}
			known[info.Path] = true
		}
	}
	return sum
}

// cascadeCost is that of a changed path. All that reaches it gets another hash,
// but the plan stays, since it does not depend on hashes
// (TestStrategiesKeepTheRules): so a layer is new if a member reaches the path.
func (s *subject) cascadeCost(groups []placed, changed int) cost {
	var c cost
	touched := false
	for _, g := range groups {
		fresh := false
		for _, n := range g.members {
			fresh = fresh || s.graph.reach[n].has(changed)
		}
		touched = touched || fresh
		c.count(g.size, fresh, touched)
	}
	return c
}

// cascadeIdeal is the bytes of all that reaches a changed path.
func (s *subject) cascadeIdeal(changed int) int64 {
	var sum int64
	for n, reached := range s.graph.reach {
		if reached.has(changed) {
			sum += s.graph.nodes[n].info.NarSize
		}
	}
	return sum
}

// placed is a group as indices into a graph.
type placed struct {
	members []int
	size    int64
}

func (s *subject) place(groups []layers.Group) []placed {
	index := make(map[nix.StorePath]int, len(s.graph.nodes))
	for i, n := range s.graph.nodes {
		index[n.info.Path] = i
	}
	all := make([]placed, len(groups))
	for i, g := range groups {
		all[i].size = g.Size()
		for _, info := range g {
			all[i].members = append(all[i].members, index[info.Path])
		}
	}
	return all
}

// stacked makes groups of "libc | lib tool | app"; a name that ends in ' is
// another version. Each path has ten bytes.
func stacked(drawing string) []layer {
	var groups []layers.Group
	for drawn := range strings.SplitSeq(drawing, "|") {
		var g layers.Group
		for _, name := range strings.Fields(drawn) {
			g = append(g, nix.PathInfo{Path: layerstest.Path(strings.TrimSuffix(name, "'"), strings.Count(name, "'")), NarSize: 10})
		}
		groups = append(groups, g)
	}
	return identify(groups)
}

func TestUpdateCost(t *testing.T) {
	for _, test := range []struct {
		name, before, now string
		want              cost
	}{
		{"nothing changed", "a | b c", "a | b c", cost{}},
		{"the top changed", "a | b | c", "a | b | c'", cost{fresh: 10, above: 10}},
		{"the bottom changed", "a | b | c", "a' | b | c", cost{fresh: 10, above: 30}},
		{"one of two in a layer", "a | b c", "a | b c'", cost{fresh: 20, above: 20}},
		{"same layers, other order", "a | b | c", "a | c | b", cost{above: 20}},
		{"one moved in", "a | b | c", "a | b c", cost{fresh: 20, above: 20}},
		{"a layer fell out below", "a | b | c", "a | c", cost{above: 10}},
		{"one more on top", "a", "a | b", cost{fresh: 10, above: 10}},
	} {
		if got := updateCost(stacked(test.before), stacked(test.now)); got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
	}
}

func TestFleetCost(t *testing.T) {
	got := fleetCost(stacked("a | b c"), stacked("a | b"), stacked("b c | a | d"))
	if want := (cost{fresh: 50}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestDistinctCountsEachPathOnce(t *testing.T) {
	one, other := layerstest.Sketch(t, "app 1 > libc", "libc 30"), layerstest.Sketch(t, "tool 2 > libc", "libc 30")
	if got := distinct(one, other); got != 33e6 {
		t.Errorf("got %d", got)
	}
}

// TestCascadeIsAnUpdate changes hashes in earnest, and plans again.
func TestCascadeIsAnUpdate(t *testing.T) {
	set := readKept(t, "bookworm")
	for _, image := range set.images[:6] {
		groups := layers.Plan(image.closure, layers.Options{Budget: 20})
		for _, changed := range evenly(image.graph.all(), 5) {
			closure := image.renamed(changed)
			want := updateCost(identify(groups), identify(layers.Plan(closure, layers.Options{Budget: 20})))
			if got := image.cascadeCost(image.place(groups), changed); got != want {
				t.Errorf("%s: %s: got %+v, want %+v", image.name, image.graph.nodes[changed].info.Path, got, want)
			}
			ideal := distinct(image.closure, closure) - distinct(image.closure)
			if got := image.cascadeIdeal(changed); got != ideal {
				t.Errorf("%s: %s: got an ideal of %d, want %d", image.name, image.graph.nodes[changed].info.Path, got, ideal)
			}
		}
	}
}

// renamed is the closure after a change: all that reaches the path has a new hash.
func (s *subject) renamed(changed int) nix.Closure {
	newName := func(n int) nix.StorePath {
		path := s.graph.nodes[n].info.Path
		if s.graph.reach[n].has(changed) {
			return layerstest.Path(path.Name(), n+1)
		}
		return path
	}
	var c nix.Closure
	for n, old := range s.graph.nodes {
		info := nix.PathInfo{Path: newName(n), NarSize: old.info.NarSize}
		for _, ref := range old.refs {
			info.References = append(info.References, newName(ref))
		}
		c.Paths = append(c.Paths, info)
	}
	return c
}
