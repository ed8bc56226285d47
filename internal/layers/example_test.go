package layers_test

import (
	"fmt"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
)

// A small closure, a budget of four:
//
//	app 1 MB ──▶ python 90 MB ──▶ zlib 0.1 MB ──▶ glibc 30 MB
//	    │            ├──────────▶ expat 0.2 MB ──▶ glibc
//	    │            └──────────▶ glibc
//	    └──────────▶ bash 1.5 MB ──▶ glibc
//
// Two paths are heavy and stay alone: a change of anything light never
// sends them again. What nothing refers to is the application; it lies on top.
// The light rest shares the one slot that is left. Lowest is what changes least
// for its size.
func ExamplePlan() {
	closure := example(map[string]int64{"app": 1e6, "python": 90e6, "zlib": 1e5, "expat": 2e5, "bash": 15e5, "glibc": 30e6},
		map[string][]string{"app": {"python", "bash"}, "python": {"zlib", "expat", "glibc"},
			"zlib": {"glibc"}, "expat": {"glibc"}, "bash": {"glibc"}})
	for i, group := range layers.Plan(closure, layers.Options{Budget: 4}) {
		fmt.Printf("layer %d: %5.1f MB:", i+1, float64(group.Size())/1e6)
		for _, info := range group {
			fmt.Printf(" %s", info.Path.Name())
		}
		fmt.Println()
	}
	// Output:
	// layer 1:  30.0 MB: glibc
	// layer 2:  90.0 MB: python
	// layer 3:   1.8 MB: bash expat zlib
	// layer 4:   1.0 MB: app
}

func example(sizes map[string]int64, references map[string][]string) nix.Closure {
	path := func(name string) nix.StorePath {
		return nix.StorePath(fmt.Sprintf("%s/%032d-%s", nix.StoreDir, 0, name))
	}
	var closure nix.Closure
	for name, size := range sizes {
		info := nix.PathInfo{Path: path(name), NarSize: size}
		for _, ref := range references[name] {
			info.References = append(info.References, path(ref))
		}
		closure.Paths = append(closure.Paths, info)
	}
	return closure
}
