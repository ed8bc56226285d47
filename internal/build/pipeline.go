// Package pipeline makes published images of a spec. It is the sentence of
// docs/design.md as code, for the command and the server alike:
//
// The spec names packages; Nix realises them, per system, into a closure; the
// closure is planned into groups of store paths; each group is a layer; layers
// and config make an image; the images of several platforms make an index; the
// index is published, and what comes back is a reference by digest.
//
// The invariant: all bytes move in Publish, and no tag is set before everything
// else is published. What was published is reported, also if the rest failed.
package build

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/popularity"
	"github.com/org/nixery-action/internal/progress"
	"github.com/org/nixery-action/internal/spec"
)

// Order is one image to make.
type Order struct {
	spec.Image
	Annotations Annotations
}

// Line is what makes images: a Nix, a store, and what does not differ between
// orders. Its fields are not changed while it runs, and it runs one job at a time.
type Line struct {
	Runner  nixbuild.Runner
	Store   fs.FS // its root is the one that nix/store lies in
	Created time.Time
	TempDir string         // for links that keep packages from the garbage collector
	Cache   *cache.Cache   // what earlier runs learnt; never nil
	Others  *cache.History // layers' records that other images' runs learnt; believed no more than the cache, and nil for none
	Verify  bool           // make everything anew, and publish it only if the cache's records say the same
	Spec    string         // which spec of its repository this is, for the cache
	Pinned  *Pinned        // the source, if it was pinned before: then Run does not look at the one it is given
	// Confinement holds evaluations; the zero value does not.
	Confinement nixbuild.Confinement
	// Beside are packages that are evaluated with those of the orders, if the
	// source has them, and are in no image. Approve sees all that was evaluated
	// before anything is built, and its error ends the run. Nil approves, and
	// lets packages be what an earlier run evaluated.
	Beside  []string
	Approve func(evaluated []nixbuild.Package) error
	// Load reads popularity tables; popularity.Load if nil.
	Load func(ctx context.Context, where, sum string) (popularity.Table, error)
	// Warn takes what is most likely wrong with an image; if nil, Log does.
	Warn    func(Warning)
	Now     func() time.Time // of what the cache says of registries; time.Now if nil
	Log     *slog.Logger
	Display *progress.Display

	now atomic.Pointer[progress.Stage]
	far atomic.Pointer[nixbuild.Progress] // of the stage under way, if Nix says
}

// Run makes all orders and delivers them to all destinations. Without any
// destination the digests are computed all the same. With an error the report
// is nil unless something was published: then it says what. What an earlier run with
// the same source evaluated is not evaluated again, and destinations are checked
// before the first run of Nix only: where there is none, publishing tells as
// early.
func (l *Line) Run(ctx context.Context, source spec.Nixpkgs, orders []Order, dests []Delivery, meter *Meter) (*Report, error) {
	j := &job{Line: l, orders: orders, dests: dests, meter: meter, hold: &hold{line: l}, begun: time.Now()}
	j.check = sync.OnceValue(func() error { return checkAll(ctx, dests, orders) })
	defer j.hold.release()
	known, err := j.start(ctx, source)
	if err != nil {
		return nil, err
	}
	j.inspections = j.newInspections(known)
	built, err := j.run(ctx, known)
	j.warnOfCredentials() // also if it failed: some layers may be public by now
	if err != nil {
		return j.partial(built), err
	}
	run := j.account(built) // before the cache reads layers
	j.learn(ctx, built)
	r, err := j.describe(built)
	if err != nil {
		return nil, err
	}
	r.Run = run
	j.changes(ctx, built, r)
	return r, nil
}

// job is one call of Run.
type job struct {
	*Line
	orders    []Order
	source    pinned
	wishes    []Wish
	evaluated bool // the wishes have what Nix said
	tables    []popularity.Table
	dests     []Delivery
	check     func() error // of destinations, once
	meter     *Meter
	hold      *hold
	begun     time.Time
	warnings  warnings

	inspections *inspections
}

// start does what every run does, and returns what is known from before. If
// that spares nothing, or a destination wants it, it checks the destinations first
// of all.
func (j *job) start(ctx context.Context, source spec.Nixpkgs) (known recalled, err error) {
	if j.wishes, err = wishesOf(j.orders); err != nil {
		return nil, err
	}
	if err := checkAnnotations(j.orders); err != nil {
		return nil, err
	}
	known = j.recall(ctx, j.wishes)
	if known.lack() || slices.ContainsFunc(j.dests, Delivery.CheckFirst) {
		if err := j.check(); err != nil {
			return nil, err
		}
	}
	if j.tables, err = j.Tables(ctx, j.orders); err != nil {
		return nil, err
	}
	j.source, err = j.fix(ctx, source)
	return known, err
}

// run makes and publishes. What turns out to be wrong in the cache costs a
// second start, and is an error only for those who want to verify.
func (j *job) run(ctx context.Context, known recalled) ([]built, error) {
	if j.Verify {
		built, err := j.verified(ctx, known)
		if err != nil {
			return nil, err
		}
		return built, j.publishAll(ctx, built)
	}
	built, err := j.make(ctx, known)
	if disproved(err) {
		j.Log.Warn("the cache is wrong, so everything is made anew", "cause", err)
		built, err = j.make(ctx, nil)
	}
	return built, err
}

// make evaluates, realises, plans, packs and publishes: as little of it as what is
// recalled from earlier runs allows.
func (j *job) make(ctx context.Context, known recalled) ([]built, error) {
	built, err := j.prepare(ctx, known)
	if err != nil {
		return nil, err
	}
	return built, j.publishAll(ctx, built)
}

// prepare does all that comes before the bytes of layers.
func (j *job) prepare(ctx context.Context, known recalled) ([]built, error) {
	if err := j.resolve(ctx, known); err != nil {
		return nil, err
	}
	ready := func() error { return nil }
	if known.closures(j.wishes) {
		ready = sync.OnceValue(func() error { return j.confirm(ctx) })
	} else {
		j.explain(known)
		if err := j.realise(ctx); err != nil {
			return nil, err
		}
	}
	packers := newPackers(lazyStore{j.Store, ready}, known, j.warnings.noteCredential)
	built, err := j.assemble(packers, j.orders, j.wishes, j.tables)
	if err != nil {
		return nil, err
	}
	if unread(built) { // then not in the middle of an upload: Nix may take its time
		if err := ready(); err != nil {
			return nil, err
		}
	}
	return built, j.lookInto(ctx, built)
}

func (j *job) publishAll(ctx context.Context, built []built) error {
	return j.publish(ctx, built)
}

// resolve finds the wishes' packages: from memory, or by an evaluation.
func (j *job) resolve(ctx context.Context, known recalled) error {
	if j.evaluated || j.Approve != nil || !known.packages(j.source, j.wishes) {
		return j.evaluate(ctx)
	}
	j.begin("evaluating").Done("not needed, as source and packages are the same as before")
	return nil
}

// evaluate makes sure that the wishes have what Nix says. Only the first call
// does anything.
func (j *job) evaluate(ctx context.Context) error {
	if j.evaluated {
		return nil
	}
	if err := j.check(); err != nil {
		return err
	}
	wishes, err := j.Line.evaluate(ctx, j.source, j.orders)
	if err != nil {
		return err
	}
	j.wishes, j.evaluated, j.hold.packages = wishes, true, distinctPackages(wishes)
	return nil
}

// realise makes the packages exist, and tells the wishes their closures.
func (j *job) realise(ctx context.Context) error {
	if err := j.evaluate(ctx); err != nil {
		return err
	}
	if err := j.hold.realise(ctx); err != nil {
		return err
	}
	return j.queryClosures(ctx, j.wishes, j.hold.roots())
}

// Rehearse checks destinations and tables, resolves packages, and stops there.
func (l *Line) Rehearse(ctx context.Context, source spec.Nixpkgs, orders []Order, dests []Delivery) ([]Wish, error) {
	if err := checkAnnotations(orders); err != nil {
		return nil, err
	}
	if err := checkAll(ctx, dests, orders); err != nil {
		return nil, err
	}
	if _, err := l.Tables(ctx, orders); err != nil {
		return nil, err
	}
	fixed, err := l.pin(ctx, source)
	if err != nil {
		return nil, err
	}
	return l.evaluate(ctx, fixed, orders)
}

// Closures realises the packages of all orders, and returns one wish with a
// closure for each image and platform. What was realised may be collected as
// garbage afterwards.
func (l *Line) Closures(ctx context.Context, source spec.Nixpkgs, orders []Order) ([]Wish, error) {
	fixed, err := l.pin(ctx, source)
	if err != nil {
		return nil, err
	}
	wishes, err := l.evaluate(ctx, fixed, orders)
	if err != nil {
		return nil, err
	}
	hold := &hold{line: l, packages: distinctPackages(wishes)}
	defer hold.release()
	if err := hold.realise(ctx); err != nil {
		return nil, err
	}
	return wishes, l.queryClosures(ctx, wishes, hold.roots())
}

// queryClosures gives each wish its closure; one query serves all.
func (l *Line) queryClosures(ctx context.Context, wishes []Wish, roots []nix.StorePath) error {
	infos, err := nixbuild.QueryPaths(ctx, l.Runner, roots)
	if err != nil {
		return err
	}
	for i := range wishes {
		w := &wishes[i]
		if w.Closure, err = nix.NewClosure(w.Roots(), infos); err != nil {
			return fmt.Errorf("image %s for %s: %w", w.Image, w.Platform, err)
		}
		l.Log.Debug("closure", "image", w.Image, "platform", w.Platform.String(), "paths", len(w.Closure.Paths))
	}
	return nil
}
