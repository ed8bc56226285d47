// Package build builds the images of a spec and publishes them. It is the
// sentence of docs/design.md as code, for the command and the server alike:
//
// The spec names packages; Nix realises them, per system, into a closure; the
// closure is planned into groups of store paths; each group is a layer; layers
// and config make an image; the images of several platforms make an index; the
// index is published, and what comes back is a reference by digest.
//
// [Builder.Run] has the steps in this order. All bytes move in publish, and no
// tag is set before everything else is published. What was published is
// reported, also if the rest failed.
//
// A cache entry may be stale, and that may show only in mid-upload, when the
// registry lacks a blob and the layer is packed after all. Then the run starts
// again at its first step after pin, and uses no cache:
//
//	pin ▶ evaluate ▶ realise ▶ plan ▶ assemble ▶ publish ▶ save
//	          ▲                                     │
//	          │                 a blob is missing: realise, compare
//	          │                                     │
//	          │   errStale: other packages or closures than the cache has
//	          │   *layers.MismatchError: other bytes than the record has
//	          │   *cache.StoreError: the cache cannot give the blob
//	          └───────────────── without cache ─────┘
//
// Blobs that the first attempt uploaded stay in the registry, and no tag names
// them. The second attempt saves its results over the stale entry.
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

// Target is one image to build, and what its manifests are annotated with.
type Target struct {
	spec.Image
	Annotations Annotations
}

// Builder builds and publishes images. It holds what all images of a run share:
// a Nix, a store, a cache. Its fields do not change while it runs, and it runs
// one job at a time.
type Builder struct {
	Runner  nixbuild.Runner
	Store   fs.FS // its root is the one that nix/store lies in
	Created time.Time
	TempDir string         // for links that are roots of the garbage collector
	Cache   *cache.Cache   // results of earlier runs; never nil
	Shared  *cache.History // records of the layers of other images, verified as those of Cache are; nil for none
	Verify  bool           // build without the cache, and publish only if the cache has the same
	Spec    string         // path of the spec in its repository, for the cache
	Pinned  *Pinned        // the source, if it is pinned already: Run then ignores the one it is given
	// Confinement restricts evaluations; the zero value does not.
	Confinement nixbuild.Confinement
	// AlsoEvaluate are packages that are evaluated with those of the targets, if
	// the source has them, and are in no image. Approve gets all that was evaluated
	// before anything is built, and its error ends the run. If it is nil, a
	// run may use the evaluation of an earlier one.
	AlsoEvaluate []string
	Approve      func(evaluated []nixbuild.Package) error
	// LoadTable reads popularity tables; popularity.Load if nil.
	LoadTable func(ctx context.Context, where, sum string) (popularity.Table, error)
	// Warn gets what is most likely wrong with an image; if nil, Log does.
	Warn    func(Warning)
	Now     func() time.Time // for the age of inspections of registries; time.Now if nil
	Log     *slog.Logger
	Display *progress.Display

	stage    atomic.Pointer[progress.Stage]    // under way
	progress atomic.Pointer[nixbuild.Progress] // of that stage, if Nix reports any
}

// Run builds all targets and delivers them to all destinations. Without any
// destination it computes digests only. With an error the report is nil, unless
// something was published: then the report says what.
func (b *Builder) Run(ctx context.Context, source spec.Nixpkgs, targets []Target, dests []Delivery, stats *Stats) (*Report, error) {
	j, err := b.newJob(ctx, targets, dests, stats)
	if err != nil {
		return nil, err
	}
	defer j.roots.release()
	defer j.warnOfCredentials() // also if the run fails: some layers may be public by then

	// Pin. A channel or branch becomes a commit; no cache spares it, as its keys are of the commit.
	if j.source = b.Pinned; j.source == nil {
		if j.source, err = b.Pin(ctx, source); err != nil {
			return nil, err
		}
	}
	var images []built
	for trusted := j.trusted(); ; trusted = nil {
		// Evaluate. Spared if the cache has the output paths for this commit and these names.
		if platforms, ok := trusted.packages(j.source, j.platforms); ok && b.Approve == nil {
			j.platforms = platforms
			b.begin("evaluating").Done("not needed, as source and packages are the same as before")
		} else if err := j.evaluate(ctx); err != nil {
			return nil, err
		}

		// Realise. Spared if the cache has the closure of each output path; then
		// confirm makes up for it when the bytes of a layer are needed.
		ready := func() error { return nil }
		if platforms, ok := trusted.closures(j.platforms); ok {
			j.platforms, ready = platforms, sync.OnceValue(func() error { return j.confirm(ctx) })
		} else {
			b.explainMiss(trusted)
			platforms, err := j.realise(ctx)
			if err != nil {
				return nil, err
			}
			j.platforms = platforms
		}

		// Plan and assemble: pure, and never spared. A layer whose record is cached has its digest already.
		packers := newPackers(lazyStore{b.Store, ready}, trusted, j.warnings.noteCredential)
		if images, err = b.assemble(packers, j.targets, j.platforms, j.tables); err != nil {
			return nil, err
		}
		if unread(images) { // realise now, not in mid-upload: Nix may take its time
			err = ready()
		}
		if err == nil {
			err = j.checkContents(ctx, images)
		}
		if err == nil && b.Verify {
			err = j.verify(ctx, images)
		}

		// Publish. All bytes move here, but not the blobs that a registry has.
		if err == nil {
			err = j.publish(ctx, images)
		} else {
			images = nil // not even begun to be published
		}
		if err == nil {
			break
		}
		if trusted == nil || !isStale(err) {
			j.warnOfCredentials()
			return j.partial(images), err
		}
		b.Log.Warn("the cache is stale or damaged; rebuilding without it", "cause", err)
	}

	// Save, and report. Statistics are taken first, as the cache may read layers.
	j.warnOfCredentials()
	run := j.account(images)
	j.save(ctx, images)
	return j.report(ctx, images, run)
}

// job is one call of Run.
type job struct {
	*Builder
	targets     []Target
	source      *Pinned
	platforms   []TargetPlatform
	evaluated   bool // platforms have what Nix says, not what the cache has
	known       cached
	tables      []popularity.Table
	dests       []Delivery
	check       func() error // of destinations, once
	stats       *Stats
	roots       *gcRoots
	begun       time.Time
	warnings    warnings
	inspections *inspections
}

// newJob does what needs neither source nor Nix: it reads the cache and the
// popularity tables. It checks the destinations if the cache cannot spare Nix,
// or if one of them wants that; else publishing fails as early as a check.
func (b *Builder) newJob(ctx context.Context, targets []Target, dests []Delivery, stats *Stats) (*job, error) {
	j := &job{Builder: b, targets: targets, dests: dests, stats: stats, roots: &gcRoots{builder: b}, begun: time.Now()}
	j.check = sync.OnceValue(func() error { return checkAll(ctx, dests, targets) })
	var err error
	if j.platforms, err = platformsOf(targets); err != nil {
		return nil, err
	}
	if err := checkAnnotations(targets); err != nil {
		return nil, err
	}
	j.known = b.loadCached(ctx, j.platforms)
	j.inspections = b.newInspections(j.known)
	if j.known.incomplete() || slices.ContainsFunc(dests, Delivery.CheckFirst) {
		if err := j.check(); err != nil {
			return nil, err
		}
	}
	j.tables, err = b.Tables(ctx, targets)
	return j, err
}

// trusted is the part of the cache that spares work: none of it if it is to be verified.
func (j *job) trusted() cached {
	if j.Verify {
		return nil
	}
	return j.known
}

// evaluate sets the platforms to what Nix says. Only the first call runs Nix.
func (j *job) evaluate(ctx context.Context) error {
	if j.evaluated {
		return nil
	}
	if err := j.check(); err != nil {
		return err
	}
	platforms, err := j.Builder.evaluate(ctx, j.source, j.targets)
	if err != nil {
		return err
	}
	j.platforms, j.evaluated, j.roots.packages = platforms, true, distinctPackages(platforms)
	return nil
}

// realise makes the packages exist on this machine, and returns the platforms
// with the closures that Nix says. Only the first call builds.
func (j *job) realise(ctx context.Context) ([]TargetPlatform, error) {
	if err := j.evaluate(ctx); err != nil {
		return nil, err
	}
	if err := j.roots.realise(ctx); err != nil {
		return nil, err
	}
	return j.queryClosures(ctx, j.platforms, j.roots.paths())
}

// DryRun checks destinations and tables, evaluates packages, and stops there.
func (b *Builder) DryRun(ctx context.Context, source spec.Nixpkgs, targets []Target, dests []Delivery) ([]TargetPlatform, error) {
	if err := checkAnnotations(targets); err != nil {
		return nil, err
	}
	if err := checkAll(ctx, dests, targets); err != nil {
		return nil, err
	}
	if _, err := b.Tables(ctx, targets); err != nil {
		return nil, err
	}
	pinned, err := b.Pin(ctx, source)
	if err != nil {
		return nil, err
	}
	return b.evaluate(ctx, pinned, targets)
}

// Closures realises the packages of all targets, and returns the closure of
// each image and platform. The garbage collector may remove what was realised
// when Closures returns.
func (b *Builder) Closures(ctx context.Context, source spec.Nixpkgs, targets []Target) ([]TargetPlatform, error) {
	pinned, err := b.Pin(ctx, source)
	if err != nil {
		return nil, err
	}
	platforms, err := b.evaluate(ctx, pinned, targets)
	if err != nil {
		return nil, err
	}
	roots := &gcRoots{builder: b, packages: distinctPackages(platforms)}
	defer roots.release()
	if err := roots.realise(ctx); err != nil {
		return nil, err
	}
	return b.queryClosures(ctx, platforms, roots.paths())
}

// queryClosures returns the platforms with their closures; one query serves all.
func (b *Builder) queryClosures(ctx context.Context, platforms []TargetPlatform, roots []nix.StorePath) ([]TargetPlatform, error) {
	infos, err := nixbuild.QueryPaths(ctx, b.Runner, roots)
	if err != nil {
		return nil, err
	}
	platforms = slices.Clone(platforms)
	for i := range platforms {
		p := &platforms[i]
		if p.Closure, err = nix.NewClosure(p.Roots(), infos); err != nil {
			return nil, fmt.Errorf("image %s for %s: %w", p.Image, p.Platform, err)
		}
		b.Log.Debug("closure", "image", p.Image, "platform", p.Platform.String(), "paths", len(p.Closure.Paths))
	}
	return platforms, nil
}
