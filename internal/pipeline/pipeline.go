// Package pipeline makes published images of a spec. It is the sentence of
// docs/design.md as code, for the command and the server alike:
//
// The spec names packages; Nix realises them, per system, into a closure; the
// closure is planned into groups of store paths; each group is a layer; layers
// and config make an image; the images of several platforms make an index; the
// index is published, and what comes back is a reference by digest.
//
// The invariant: all bytes move in Publish, and nothing is published unless
// everything is.
package pipeline

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/progress"
	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/spec"
)

// Order is one image to make, and the references it is to have.
type Order struct {
	spec.Image
	Tags         []name.Tag
	Repositories []name.Repository // by digest only
}

// Line is what makes images: a Nix, a store, and what does not differ between
// orders. Its fields are not changed while it runs, and it runs one job at a time.
type Line struct {
	Runner  nixbuild.Runner
	Store   fs.FS // its root is the one that nix/store lies in
	Created time.Time
	TempDir string // for links that keep packages from the garbage collector
	Log     *slog.Logger
	Display *progress.Display

	now atomic.Pointer[progress.Stage]
}

// Hear takes what Nix prints, a line at a time, and shows it with the stage
// that is under way.
func (l *Line) Hear(line string) {
	l.Log.Debug(line)
	if stage := l.now.Load(); stage != nil {
		stage.Status(line)
	}
}

func (l *Line) begin(name string) *progress.Stage {
	stage := l.Display.Stage(name)
	l.now.Store(stage)
	return stage
}

// Run makes all orders and delivers them to all destinations. Without any
// destination the digests are computed all the same.
func (l *Line) Run(ctx context.Context, source spec.Nixpkgs, orders []Order, dests []publish.Destination, meter *Meter) (*Report, error) {
	if err := checkAll(ctx, dests, artifactsOf(orders, nil)); err != nil {
		return nil, err
	}
	tables, err := l.Tables(ctx, orders)
	if err != nil {
		return nil, err
	}
	wishes, err := l.evaluate(ctx, source, orders)
	if err != nil {
		return nil, err
	}
	roots, release, err := l.realise(ctx, wishes)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := l.queryClosures(ctx, wishes, roots); err != nil {
		return nil, err
	}
	built, err := l.assemble(orders, wishes, tables)
	if err != nil {
		return nil, err
	}
	if err := l.publish(ctx, dests, artifactsOf(orders, built), built, meter); err != nil {
		return nil, err
	}
	return report(orders, built)
}

// Rehearse checks destinations and tables, resolves packages, and stops there.
func (l *Line) Rehearse(ctx context.Context, source spec.Nixpkgs, orders []Order, dests []publish.Destination) ([]Wish, error) {
	if err := checkAll(ctx, dests, artifactsOf(orders, nil)); err != nil {
		return nil, err
	}
	if _, err := l.Tables(ctx, orders); err != nil {
		return nil, err
	}
	return l.evaluate(ctx, source, orders)
}

// Closures realises the packages of all orders, and returns one wish with a
// closure for each image and platform. What was realised may be collected as
// garbage afterwards.
func (l *Line) Closures(ctx context.Context, source spec.Nixpkgs, orders []Order) ([]Wish, error) {
	wishes, err := l.evaluate(ctx, source, orders)
	if err != nil {
		return nil, err
	}
	roots, release, err := l.realise(ctx, wishes)
	if err != nil {
		return nil, err
	}
	defer release()
	return wishes, l.queryClosures(ctx, wishes, roots)
}

// realise builds or fetches the packages of all wishes in one run of Nix, and
// holds them until release is called.
func (l *Line) realise(ctx context.Context, wishes []Wish) (roots []nixbuild.StorePath, release func(), err error) {
	packages := distinctPackages(wishes)
	stage := l.begin("realising")
	stage.Total(len(packages), 0)
	temp, err := os.MkdirTemp(l.TempDir, "nixery-action-")
	if err != nil {
		return nil, nil, fmt.Errorf("making a folder for garbage collector roots: %w", err)
	}
	release = func() { os.RemoveAll(temp) }
	if err := nixbuild.Realise(ctx, l.Runner, packages, filepath.Join(temp, "roots")); err != nil {
		release()
		return nil, nil, err
	}
	for _, p := range packages {
		roots = append(roots, p.Out)
	}
	stage.Done(fmt.Sprintf("%d packages", len(packages)))
	return roots, release, nil
}

// queryClosures gives each wish its closure; one query serves all.
func (l *Line) queryClosures(ctx context.Context, wishes []Wish, roots []nixbuild.StorePath) error {
	infos, err := nixbuild.QueryPaths(ctx, l.Runner, roots)
	if err != nil {
		return err
	}
	for i := range wishes {
		w := &wishes[i]
		if w.Closure, err = nixbuild.NewClosure(w.Roots(), infos); err != nil {
			return fmt.Errorf("image %s for %s: %w", w.Image, w.Platform, err)
		}
		l.Log.Debug("closure", "image", w.Image, "platform", w.Platform.String(), "paths", len(w.Closure.Paths))
	}
	return nil
}

// artifactsOf pairs orders with what was made for them; without made they
// serve to check destinations.
func artifactsOf(orders []Order, made []built) []publish.Artifact {
	artifacts := make([]publish.Artifact, len(orders))
	for i, order := range orders {
		artifacts[i] = publish.Artifact{Name: order.Name, Tags: order.Tags, Repositories: order.Repositories}
		if made != nil {
			artifacts[i].Image, artifacts[i].Index = made[i].image, made[i].index
		}
	}
	return artifacts
}

func checkAll(ctx context.Context, dests []publish.Destination, artifacts []publish.Artifact) error {
	for _, d := range dests {
		if err := d.Check(ctx, artifacts); err != nil {
			return err
		}
	}
	return nil
}

// publish moves the bytes. The digests that come back must be those of the
// artifacts: a destination that changed one would break every promise.
func (l *Line) publish(ctx context.Context, dests []publish.Destination, artifacts []publish.Artifact, made []built, meter *Meter) error {
	layers := distinctLayers(made)
	stage := l.begin("publishing")
	stage.Total(len(layers)*max(len(dests), 1), 0)
	meter.start(stage)
	if len(dests) == 0 {
		if err := measure(ctx, layers, meter); err != nil {
			return err
		}
	}
	for _, d := range dests {
		digests, err := d.Publish(ctx, artifacts)
		if err != nil {
			return err
		}
		if err := sameDigests(artifacts, digests); err != nil {
			return err
		}
	}
	stage.Done(meter.summary())
	return nil
}

func sameDigests(artifacts []publish.Artifact, digests []v1.Hash) error {
	for i, a := range artifacts {
		want, err := digestOf(a)
		if err != nil {
			return fmt.Errorf("image %s: %w", a.Name, err)
		}
		if digests[i] != want {
			return fmt.Errorf("image %s: published as %s, but it is %s", a.Name, digests[i], want)
		}
	}
	return nil
}

func digestOf(a publish.Artifact) (v1.Hash, error) {
	if a.Index != nil {
		return a.Index.Digest()
	}
	return a.Image.Digest()
}
