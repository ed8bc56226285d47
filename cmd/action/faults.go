package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/org/nixery-action/internal/actions"
	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/popularity"
	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/spec"
)

// fault is one thing to tell the user, and where in a file it lies, if it does.
type fault struct {
	message      string
	file         string
	line, column int
}

// unavailable is packages that cannot be had, and the images that ask for them.
type unavailable struct {
	*nixbuild.EvaluationError
	file   string
	images []spec.Image
}

func (e *unavailable) Unwrap() error { return e.EvaluationError }

// withPlaces lets faultsOf find the packages of an evaluation error in the spec.
func withPlaces(err error, s *spec.Spec, images []spec.Image) error {
	if evaluation, ok := errors.AsType[*nixbuild.EvaluationError](err); ok {
		return &unavailable{EvaluationError: evaluation, file: s.File, images: images}
	}
	return err
}

// faultsOf takes an error apart into what can be told on its own.
func faultsOf(err error) []fault {
	if errs, ok := errors.AsType[spec.Errors](err); ok {
		var faults []fault
		for _, e := range errs {
			faults = append(faults, fault{message: e.Message, file: e.File, line: e.Line, column: e.Column})
		}
		return faults
	}
	if e, ok := errors.AsType[*unavailable](err); ok {
		return e.faults()
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var faults []fault
		for _, one := range joined.Unwrap() {
			faults = append(faults, faultsOf(one)...)
		}
		return faults
	}
	return []fault{{message: err.Error()}}
}

func (e *unavailable) faults() []fault {
	var faults []fault
	for _, failure := range e.Joined() {
		f := fault{message: failure.String(), file: e.file}
		if at := e.find(failure.Name); at != nil {
			f.line, f.column = at.Line, at.Column
		}
		faults = append(faults, f)
	}
	slices.SortStableFunc(faults, func(a, b fault) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	return faults
}

// find is where a package was asked for, by its name or one that stands for it.
func (e *unavailable) find(name string) *spec.Position {
	for _, img := range e.images {
		for i, asked := range img.Packages {
			expanded, _ := nixbuild.Expand([]string{asked})
			for _, n := range expanded {
				if n == name && i < len(img.PackagePos) {
					return &img.PackagePos[i]
				}
			}
		}
	}
	return nil
}

// isBadInput tells what the user must change from what failed.
func isBadInput(err error) bool {
	if _, ok := errors.AsType[usageError](err); ok {
		return true
	}
	if _, ok := errors.AsType[spec.Errors](err); ok {
		return true
	}
	if _, ok := errors.AsType[*actions.InputError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*nixbuild.EvaluationError](err); ok {
		return true
	}
	if table, ok := errors.AsType[*popularity.TableError](err); ok {
		return !table.Remote
	}
	_, ok := errors.AsType[*publish.PlatformsError](err)
	return ok
}

// interrupted says first that somebody stopped the program: what else a
// cancelled context breaks is no news.
func interrupted(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("interrupted: %w", err)
}
