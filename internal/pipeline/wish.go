package pipeline

import (
	"context"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/image"
	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/spec"
)

// Wish is the packages of one image on one platform, and once they are
// realised their closure.
type Wish struct {
	Image    string
	Platform v1.Platform
	Packages []nixbuild.Package // sorted by name
	Shell    bool               // an interactive shell was asked for
	Closure  nixbuild.Closure
}

// Roots are the store paths of the packages.
func (w Wish) Roots() []nixbuild.StorePath {
	roots := make([]nixbuild.StorePath, len(w.Packages))
	for i, p := range w.Packages {
		roots[i] = p.Out
	}
	return roots
}

// has tells whether a package was found, such as one that every image gets if
// the package set has it.
func (w Wish) has(name string) bool {
	return slices.ContainsFunc(w.Packages, func(p nixbuild.Package) bool { return p.Name == name })
}

// evaluate resolves the packages of all images and platforms in one run of Nix.
func (l *Line) evaluate(ctx context.Context, source spec.Nixpkgs, orders []Order) ([]Wish, error) {
	stage := l.begin("evaluating")
	wants, err := wantsOf(orders)
	if err != nil {
		return nil, err
	}
	packages, absent, err := nixbuild.Evaluate(ctx, l.Runner, sourceOf(source), wants)
	if err != nil {
		return nil, err
	}
	for _, want := range absent {
		l.Log.Debug("the package set has no such package, which images have otherwise", "package", want.Name, "system", want.System)
	}
	wishes, err := sortOut(orders, packages)
	if err != nil {
		return nil, err
	}
	stage.Done(fmt.Sprintf("%d packages of %s", len(packages), sourceOf(source)))
	return wishes, nil
}

// wantsOf lists each package and system once. What somebody asks for by name
// must be there, even if other images only get it where there is one.
func wantsOf(orders []Order) ([]nixbuild.Want, error) {
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
			platform, err := image.ParsePlatform(arch)
			if err != nil {
				return nil, err
			}
			for _, n := range names {
				add(nixbuild.Want{Name: n, System: image.System(platform)}, false)
			}
			for _, n := range nixbuild.Always {
				add(nixbuild.Want{Name: n, System: image.System(platform)}, true)
			}
		}
	}
	return wants, nil
}

// sortOut gives each image and platform its own of all packages.
func sortOut(orders []Order, packages []nixbuild.Package) ([]Wish, error) {
	found := map[nixbuild.Want]nixbuild.Package{}
	for _, p := range packages {
		found[nixbuild.Want{Name: p.Name, System: p.System}] = p
	}
	var wishes []Wish
	for _, order := range orders {
		names, shell := nixbuild.Expand(slices.Concat(order.Packages, nixbuild.Always))
		for _, arch := range order.Architectures {
			platform, err := image.ParsePlatform(arch)
			if err != nil {
				return nil, err
			}
			wish := Wish{Image: order.Name, Platform: platform, Shell: shell}
			for _, n := range names {
				if p, ok := found[nixbuild.Want{Name: n, System: image.System(platform)}]; ok {
					wish.Packages = append(wish.Packages, p)
				}
			}
			wishes = append(wishes, wish)
		}
	}
	return wishes, nil
}

// distinctPackages lists every derivation's output once, in a fixed order.
func distinctPackages(wishes []Wish) []nixbuild.Package {
	seen := map[nixbuild.StorePath]bool{}
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

func sourceOf(n spec.Nixpkgs) nixbuild.Source {
	source := nixbuild.Source{Channel: n.Channel, Path: n.Path, Flake: n.Flake, Config: n.Config, Overlays: n.Overlays}
	if n.Git != nil {
		source.Git = &nixbuild.Git{URL: n.Git.URL, Ref: n.Git.Ref, Rev: n.Git.Rev}
	}
	return source
}
