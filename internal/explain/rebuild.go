package explain

import (
	"slices"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
)

// Rebuild is what a change costs: a path that changes gets a new hash, and so
// does all that refers to it, directly or not; every layer with a new path must be
// built, pushed and pulled again. The plan is assumed to stay as it is. The root
// layer, a few kilobytes that are new each time, is not counted.
//
//	layers: [libc 30 MB] [lib 2 MB] [app 1 MB], app ▶ lib ▶ libc
//	a change of lib  ▶  Cost{Size: 3 MB, Ideal: 3 MB, Layers: 2}
type Rebuild struct {
	Application Change `json:"application"` // paths that nothing in the closure refers to
	Library     Change `json:"library"`     // all others
}

// Change is the cost of changes of one kind, each of one path alone.
type Change struct {
	Paths     int           `json:"paths"` // how many paths are of this kind
	Mean      Cost          `json:"mean"`  // rounded
	Worst     Cost          `json:"worst"`
	WorstPath nix.StorePath `json:"worstPath,omitempty"` // the path whose change costs most; absent if none exists
}

// Cost is bytes, as NAR sizes, and layers that are new after a change.
type Cost struct {
	Size   int64 `json:"size"`   // of the new layers
	Ideal  int64 `json:"ideal"`  // of the new paths: what a layer for each path would cost
	Layers int   `json:"layers"` // how many are new
}

// costs returns what a change of each path costs.
func costs(closure nix.Closure, groups []layers.Explained) map[nix.StorePath]Cost {
	c := newCascade(closure, groups)
	all := make(map[nix.StorePath]Cost, len(c.infos))
	for i, info := range c.infos {
		all[info.Path] = c.cost(i)
	}
	return all
}

// cascade follows a change from a path to all that refers to it. Paths and
// layers are indices.
type cascade struct {
	infos      []nix.PathInfo
	referrers  [][]int
	layerOf    []int
	layerSizes []int64
	// The mark of a path or layer is p+1 if the last walk that reached it began at
	// the path p, so no mark needs to be cleared before the next walk.
	pathMarks, layerMarks []int
}

func newCascade(closure nix.Closure, groups []layers.Explained) *cascade {
	n := len(closure.Paths)
	c := &cascade{infos: closure.Paths, referrers: make([][]int, n), layerOf: make([]int, n),
		pathMarks: make([]int, n), layerMarks: make([]int, len(groups))}
	index := make(map[nix.StorePath]int, n)
	for i, info := range c.infos {
		index[info.Path] = i
	}
	for i, info := range c.infos {
		for _, ref := range info.References {
			if j, ok := index[ref]; ok {
				c.referrers[j] = append(c.referrers[j], i)
			}
		}
	}
	for layer, g := range groups {
		c.layerSizes = append(c.layerSizes, g.Group.Size())
		for _, info := range g.Group {
			c.layerOf[index[info.Path]] = layer
		}
	}
	return c
}

func (c *cascade) cost(start int) Cost {
	var cost Cost
	mark := start + 1
	c.pathMarks[start] = mark
	for queue := []int{start}; len(queue) > 0; {
		i := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		cost.Ideal += c.infos[i].NarSize
		if layer := c.layerOf[i]; c.layerMarks[layer] != mark {
			c.layerMarks[layer] = mark
			cost.Size += c.layerSizes[layer]
			cost.Layers++
		}
		for _, r := range c.referrers[i] {
			if c.pathMarks[r] != mark {
				c.pathMarks[r] = mark
				queue = append(queue, r)
			}
		}
	}
	return cost
}

// rebuild sums costs up by kind of path.
func rebuild(closure nix.Closure, costs map[nix.StorePath]Cost) Rebuild {
	referred := map[nix.StorePath]bool{}
	for _, info := range closure.Paths {
		for _, ref := range info.References {
			referred[ref] = referred[ref] || ref != info.Path
		}
	}
	var apps, libraries []nix.StorePath
	for path := range costs {
		if referred[path] {
			libraries = append(libraries, path)
		} else {
			apps = append(apps, path)
		}
	}
	return Rebuild{Application: sumUp(apps, costs), Library: sumUp(libraries, costs)}
}

func sumUp(paths []nix.StorePath, costs map[nix.StorePath]Cost) Change {
	slices.Sort(paths)
	change := Change{Paths: len(paths)}
	if len(paths) == 0 {
		return change
	}
	var sum Cost
	for i, path := range paths {
		c := costs[path]
		sum = Cost{sum.Size + c.Size, sum.Ideal + c.Ideal, sum.Layers + c.Layers}
		if i == 0 || c.Size > change.Worst.Size {
			change.Worst, change.WorstPath = c, path
		}
	}
	n := len(paths)
	half := int64(n / 2)
	change.Mean = Cost{(sum.Size + half) / int64(n), (sum.Ideal + half) / int64(n), (sum.Layers + n/2) / n}
	return change
}
