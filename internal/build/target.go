package build

import (
	"context"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/nixbuild"
)

// TargetPlatform is the packages of one image on one platform, and once they are
// realised their closure.
type TargetPlatform struct {
	Image    string
	Platform v1.Platform
	Packages []nixbuild.Package // sorted by name
	Shell    bool               // the spec asks for an interactive shell
	Closure  nix.Closure

	names []string // of packages that it may have, sorted
}

// Roots are the store paths of the packages.
func (p TargetPlatform) Roots() []nix.StorePath { return outputs(p.Packages) }

func outputs(packages []nixbuild.Package) []nix.StorePath {
	paths := make([]nix.StorePath, len(packages))
	for i, p := range packages {
		paths[i] = p.Out
	}
	return paths
}

// has reports whether the image has a package, such as cacert, which every
// image gets if the package set has it.
func (p TargetPlatform) has(name string) bool {
	return slices.ContainsFunc(p.Packages, func(pkg nixbuild.Package) bool { return pkg.Name == name })
}

// evaluate evaluates the packages of all targets and platforms in one run of Nix.
func (b *Builder) evaluate(ctx context.Context, source *Pinned, targets []Target) ([]TargetPlatform, error) {
	stage := b.begin("evaluating")
	platforms, err := platformsOf(targets)
	if err != nil {
		return nil, err
	}
	packages, absent, err := b.Confinement.Evaluate(ctx, b.Runner, source.source, wantsOf(targets, platforms, b.AlsoEvaluate))
	if err != nil {
		return nil, err
	}
	if b.Approve != nil {
		if err := b.Approve(packages); err != nil {
			return nil, err
		}
	}
	for _, want := range absent {
		b.Log.Debug("the package set has no such package, which images have otherwise", "package", want.Name, "system", want.System)
	}
	assignPackages(platforms, packages)
	stage.Done(fmt.Sprintf("%d packages of %s", len(packages), source.source))
	return platforms, nil
}

// wantsOf lists each package and system once. A package that a target names is
// required, also if other images have it only where it exists. Those that every
// image has, and those of also, are optional.
//
//	packages [git], amd64, also [hello] ▶ git; cacert, iana-etc, hello optional; each for x86_64-linux
func wantsOf(targets []Target, platforms []TargetPlatform, also []string) []nixbuild.Want {
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
	for _, target := range targets {
		names, _ := nixbuild.Expand(target.Packages)
		for _, p := range platforms {
			if p.Image != target.Name {
				continue
			}
			for _, n := range names {
				add(nixbuild.Want{Name: n, System: nix.System(p.Platform)}, false)
			}
			for _, n := range slices.Concat(nixbuild.Always, also) {
				add(nixbuild.Want{Name: n, System: nix.System(p.Platform)}, true)
			}
		}
	}
	return wants
}

// platformsOf lists images and platforms in the order of targets, without their
// packages. It is the only place of a run that parses architectures.
func platformsOf(targets []Target) ([]TargetPlatform, error) {
	var all []TargetPlatform
	for _, target := range targets {
		names, shell := nixbuild.Expand(slices.Concat(target.Packages, nixbuild.Always))
		for _, arch := range target.Architectures {
			platform, err := nix.ParsePlatform(arch)
			if err != nil {
				return nil, err
			}
			all = append(all, TargetPlatform{Image: target.Name, Platform: platform, Shell: shell, names: names})
		}
	}
	return all, nil
}

// assignPackages sets the packages of each platform to those of all that it names.
func assignPackages(platforms []TargetPlatform, packages []nixbuild.Package) {
	found := map[nixbuild.Want]nixbuild.Package{}
	for _, p := range packages {
		found[nixbuild.Want{Name: p.Name, System: p.System}] = p
	}
	for i := range platforms {
		t := &platforms[i]
		for _, n := range t.names {
			if p, ok := found[nixbuild.Want{Name: n, System: nix.System(t.Platform)}]; ok {
				t.Packages = append(t.Packages, p)
			}
		}
	}
}

// distinctPackages lists every derivation's output once, in a fixed order.
func distinctPackages(platforms []TargetPlatform) []nixbuild.Package {
	seen := map[nix.StorePath]bool{}
	var packages []nixbuild.Package
	for _, t := range platforms {
		for _, p := range t.Packages {
			if !seen[p.Out] {
				seen[p.Out] = true
				packages = append(packages, p)
			}
		}
	}
	return packages
}
