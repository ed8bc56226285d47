package nix

import (
	"cmp"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// PathInfo is what Nix's database knows of one store path.
type PathInfo struct {
	Path       StorePath
	NarHash    v1.Hash     // SHA-256 of the path's NAR serialisation
	NarSize    int64       // bytes of that serialisation
	References []StorePath // sorted, each once, the path itself not among them
}

// Closure is a set of store paths that refer only to each other.
// It is sorted by path, so two equal sets are equal values.
type Closure struct {
	Roots []StorePath // what was asked for, sorted, each once
	Paths []PathInfo  // everything the roots reach, sorted by Path
}

// MaxPaths is how many store paths a closure has at most. A whole NixOS with a
// desktop has a fifth of it. What a plan needs grows with the square: at the
// limit, 128 MiB and some seconds.
const MaxPaths = 1 << 15

// NewClosure gathers what roots reach among infos, in canonical order. It is an
// error if a path is missing: an image without it would not run.
func NewClosure(roots []StorePath, infos []PathInfo) (Closure, error) {
	byPath := make(map[StorePath]PathInfo, len(infos))
	for _, info := range infos {
		byPath[info.Path] = info
	}
	seen := make(map[StorePath]bool, len(infos))
	c := Closure{Roots: SortedSet(roots)}
	for queue := slices.Clone(c.Roots); len(queue) > 0; {
		path := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if seen[path] {
			continue
		}
		if len(c.Paths) == MaxPaths {
			return Closure{}, fmt.Errorf("the closure has more than %d paths", MaxPaths)
		}
		seen[path] = true
		info, ok := byPath[path]
		if !ok {
			return Closure{}, fmt.Errorf("the closure lacks %s, which something in it refers to", path)
		}
		info.References = slices.DeleteFunc(SortedSet(info.References), func(p StorePath) bool { return p == path })
		c.Paths = append(c.Paths, info)
		queue = append(queue, info.References...)
	}
	slices.SortFunc(c.Paths, func(a, b PathInfo) int { return cmp.Compare(a.Path, b.Path) })
	return c, nil
}

func SortedSet(paths []StorePath) []StorePath {
	sorted := slices.Sorted(slices.Values(paths))
	return slices.Compact(sorted)
}
