package cli

import (
	"errors"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/popularity"
	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/registry"
	"github.com/org/nixery-action/internal/spec"
)

// places are where in a spec's file is what a fault may be about.
type places struct {
	file   string // empty if there is no file
	source spec.Position
	images []spec.Image
}

// located is an error of a run with a spec.
type located struct {
	error
	places
}

func (e *located) Unwrap() error { return e.error }

// withPlaces lets faultsOf find in the spec what the error is about.
func withPlaces(err error, s *spec.Spec, images []spec.Image) error {
	return &located{err, places{s.File, s.Nixpkgs.Pos, images}}
}

// imageError is what is wrong with one image of the spec.
type imageError struct {
	image string
	error
}

func (e imageError) Unwrap() error { return e.error }

// repositoryError is what is wrong with the repository of one image of the spec.
type repositoryError struct {
	image string
	error
}

func (e repositoryError) Unwrap() error { return e.error }

// at puts a fault at a place, if it is known.
func (p places) at(f fault, where spec.Position) fault {
	if p.file != "" && where.Line > 0 {
		f.file, f.line, f.column = p.file, where.Line, where.Column
	}
	return f
}

// find is the place of what an error is about; zero if that is not known.
func (p places) find(err error) spec.Position {
	if e, ok := errors.AsType[imageError](err); ok {
		return p.ofImage(e.image).Pos
	}
	if e, ok := errors.AsType[repositoryError](err); ok {
		return p.ofImage(e.image).RepositoryPos
	}
	if e, ok := errors.AsType[*publish.PlatformsError](err); ok {
		return first(p.ofImage(e.Name).ArchitecturePos, p.ofImage(e.Name).Pos)
	}
	if e, ok := errors.AsType[*popularity.TableError](err); ok {
		return p.ofTable(e.Source)
	}
	if _, ok := errors.AsType[*nixbuild.SourceError](err); ok {
		return p.source
	}
	if e, ok := errors.AsType[*nixbuild.BuildError](err); ok && len(e.Packages) > 0 {
		return p.ofPackage(e.Packages[0])
	}
	if e, ok := errors.AsType[*nixbuild.SystemError](err); ok {
		return p.ofSystem(e.Wanted)
	}
	if e, ok := errors.AsType[*registry.Error](err); ok {
		return p.ofRepository(e.Repository)
	}
	return spec.Position{}
}

func (p places) ofImage(name string) spec.Image {
	for _, img := range p.images {
		if img.Name == name {
			return img
		}
	}
	return spec.Image{}
}

// ofPackage is where a package was asked for, by its name or one that stands for it.
func (p places) ofPackage(name string) spec.Position {
	for _, img := range p.images {
		for i, asked := range img.Packages {
			expanded, _ := nixbuild.Expand([]string{asked})
			if slices.Contains(expanded, name) && i < len(img.PackagePos) {
				return img.PackagePos[i]
			}
		}
	}
	return spec.Position{}
}

// ofTable is where a popularity table was named; a URL's query is left out of its name.
func (p places) ofTable(name string) spec.Position {
	for _, img := range p.images {
		if name != "" && strings.HasPrefix(img.Layers.Popularity, name) {
			return img.PopularityPos
		}
	}
	return spec.Position{}
}

// ofSystem is where an architecture was asked for, or the image that has it by default.
func (p places) ofSystem(system string) spec.Position {
	for _, img := range p.images {
		for i, arch := range img.Architectures {
			platform, err := nix.ParsePlatform(arch)
			if err != nil || nix.System(platform) != system {
				continue
			}
			if i < len(img.ArchitecturePos) {
				return img.ArchitecturePos[i]
			}
			return img.Pos
		}
	}
	return spec.Position{}
}

func (p places) ofRepository(full string) spec.Position {
	for _, img := range p.images {
		if repository, err := name.NewRepository(img.Repository); err == nil && repository.Name() == full {
			return img.RepositoryPos
		}
	}
	return spec.Position{}
}

func first(all []spec.Position, otherwise spec.Position) spec.Position {
	if len(all) > 0 {
		return all[0]
	}
	return otherwise
}
