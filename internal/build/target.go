package build

import (
	"context"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/nixbuild"
)

// Wish is the packages of one image on one platform, and once they are
// realised their closure.
type TargetPlatform struct {
	Image    string
	Platform v1.Platform
	Packages []nixbuild.Package // sorted by name
	Shell    bool               // an interactive shell was asked for
	Closure  nix.Closure

	names []string // of packages that it may have, sorted
}

// Roots are the store paths of the packages.
func (w TargetPlatform) Roots() []nix.StorePath {
	roots := make([]nix.StorePath, len(w.Packages))
	for i, p := range w.Packages {
		roots[i] = p.Out
	}
	return roots
}

// has tells whether a package was found, such as one that every image gets if
// the package set has it.
func (w TargetPlatform) has(name string) bool {
	return slices.ContainsFunc(w.Packages, func(p nixbuild.Package) bool { return p.Name == name })
}

// evaluate resolves the packages of all images and platforms in one run of Nix.
func (l *Builder) evaluate(ctx context.Context, source pinned, orders []Target) ([]TargetPlatform, error) {
	stage := l.begin("evaluating")
	wants, err := wantsOf(orders, l.AlsoEvaluate)
	if err != nil {
		return nil, err
	}
	packages, absent, err := l.Confinement.Evaluate(ctx, l.Runner, source.Source, wants)
	if err != nil {
		return nil, err
	}
	if l.Approve != nil {
		if err := l.Approve(packages); err != nil {
			return nil, err
		}
	}
	for _, want := range absent {
		l.Log.Debug("the package set has no such package, which images have otherwise", "package", want.Name, "system", want.System)
	}
	wishes, err := wishesOf(orders)
	if err != nil {
		return nil, err
	}
	sortOut(wishes, packages)
	stage.Done(fmt.Sprintf("%d packages of %s", len(packages), source.Source))
	return wishes, nil
}

// wantsOf lists each package and system once. What somebody asks for by name
// must be there, even if other images only get it where there is one; what is
// beside them need not.
func wantsOf(orders []Target, beside []string) ([]nixbuild.Want, error) {
	var wants []nixbuild.Want
	index := map[nixbuild.Want]int{}
	add := func(w nixbuild.Want, optional bool) {
		i, ok := index[w]
		if !ok {
			i = len(wants)
			index[w] = i
			wants = append(wants, nixbuild.Want{Name: w.Name, System: w.System, Optional: true})
		}
		wants[i].Optional = wants[i].Optional && optional
	}
	for _, order := range orders {
		names, _ := nixbuild.Expand(order.Packages)
		for _, arch := range order.Architectures {
			platform, err := nix.ParsePlatform(arch)
			if err != nil {
				return nil, err
			}
			for _, n := range names {
				add(nixbuild.Want{Name: n, System: nix.System(platform)}, false)
			}
			for _, n := range slices.Concat(nixbuild.Always, beside) {
				add(nixbuild.Want{Name: n, System: nix.System(platform)}, true)
			}
		}
	}
	return wants, nil
}

// wishesOf lists images and platforms in order, without their packages.
func wishesOf(orders []Target) ([]TargetPlatform, error) {
	var wishes []TargetPlatform
	for _, order := range orders {
		names, shell := nixbuild.Expand(slices.Concat(order.Packages, nixbuild.Always))
		for _, arch := range order.Architectures {
			platform, err := nix.ParsePlatform(arch)
			if err != nil {
				return nil, err
			}
			wishes = append(wishes, TargetPlatform{Image: order.Name, Platform: platform, Shell: shell, names: names})
		}
	}
	return wishes, nil
}

// sortOut gives each image and platform its own of all packages.
func sortOut(wishes []TargetPlatform, packages []nixbuild.Package) {
	found := map[nixbuild.Want]nixbuild.Package{}
	for _, p := range packages {
		found[nixbuild.Want{Name: p.Name, System: p.System}] = p
	}
	for i := range wishes {
		w := &wishes[i]
		for _, n := range w.names {
			if p, ok := found[nixbuild.Want{Name: n, System: nix.System(w.Platform)}]; ok {
				w.Packages = append(w.Packages, p)
			}
		}
	}
}

// distinctPackages lists every derivation's output once, in a fixed order.
func distinctPackages(wishes []TargetPlatform) []nixbuild.Package {
	seen := map[nix.StorePath]bool{}
	var packages []nixbuild.Package
	for _, w := range wishes {
		for _, p := range w.Packages {
			if !seen[p.Out] {
				seen[p.Out] = true
				packages = append(packages, p)
			}
		}
	}
	return packages
}
