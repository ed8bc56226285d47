package cli

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/org/nixery-action/internal/actions"
	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/popularity"
	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/spec"
)

// fault is one thing to tell the user, and where in a file it lies, if it does.
type fault struct {
	title        string // of an annotation; may be empty
	message      string
	file         string
	line, column int
}

// faultsOf takes an error apart into what can be told on its own.
func faultsOf(err error) []fault {
	var where places
	if l, ok := errors.AsType[*located](err); ok {
		where = l.places
	}
	return where.faultsOf(err)
}

func (p places) faultsOf(err error) []fault {
	if l, ok := err.(*located); ok {
		return p.faultsOf(l.error)
	}
	if _, ok := err.(interruption); ok {
		return []fault{{title: titleOf(err), message: err.Error()}}
	}
	if errs, ok := err.(spec.Errors); ok {
		return specFaults(errs)
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var faults []fault
		for _, one := range joined.Unwrap() {
			faults = append(faults, p.faultsOf(one)...)
		}
		return faults
	}
	if errs, ok := errors.AsType[spec.Errors](err); ok {
		return specFaults(errs)
	}
	if e, ok := errors.AsType[*nixbuild.EvaluationError](err); ok {
		return p.packageFaults(e)
	}
	return []fault{p.at(fault{title: titleOf(err), message: err.Error()}, p.find(err))}
}

func specFaults(errs spec.Errors) []fault {
	var faults []fault
	for _, e := range errs {
		faults = append(faults, fault{title: "Spec", message: e.Message, file: e.File, line: e.Line, column: e.Column})
	}
	return faults
}

// packageFaults has a fault for each package, in the spec's order.
func (p places) packageFaults(e *nixbuild.EvaluationError) []fault {
	var faults []fault
	for _, failure := range e.Joined() {
		f := fault{title: packageTitles[failure.Reason], message: failure.String(), file: p.file}
		faults = append(faults, p.at(f, p.ofPackage(failure.Name)))
	}
	slices.SortStableFunc(faults, func(a, b fault) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	return faults
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

// interruption is what was under way when the program was stopped.
type interruption struct{ error }

func (e interruption) Error() string { return "interrupted: " + e.error.Error() }

func (e interruption) Unwrap() error { return e.error }

// interrupted says first that the program was stopped: what else a
// cancelled context breaks is no news.
func interrupted(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return interruption{err}
}
