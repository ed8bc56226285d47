package build

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"

	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/report"
	"github.com/org/nixery-action/internal/spec"
)

// Pinned is a package source that is fixed for a run, or for several. Its key is
// empty if the source may mean something else at the next run.
type Pinned struct {
	source nixbuild.Source
	key    string
	report report.Source
}

// Report returns what the source is, and what it was resolved to.
func (p *Pinned) Report() report.Source { return p.report }

// Pin resolves a source: a channel or branch to a commit, a flake to its locks, a
// path to a hash of its files. Runs of a Builder that has it as Pinned ask no more.
func (b *Builder) Pin(ctx context.Context, source spec.Nixpkgs) (*Pinned, error) {
	moving := sourceOf(source)
	p := &Pinned{source: moving, report: report.Source{Source: Describe(source)}}
	level := slog.LevelInfo
	if moving.Path != "" { // the user knows it
		level = slog.LevelDebug
	}
	fixed, pin, err := nixbuild.Pin(ctx, b.Runner, moving)
	if pin.Warning != "" {
		b.Log.Warn(pin.Warning)
	}
	if errors.Is(err, nixbuild.ErrUnpinned) {
		b.Log.Log(ctx, level, "every run must evaluate", "cause", err)
		p.source = fixed
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	p.source, p.key, p.report.Pinned = fixed, pin.Key, pin.Name
	if pin.Name == p.report.Source {
		level = slog.LevelDebug
	}
	b.Log.Log(ctx, level, "package source", "source", p.report.Source, "is", pin.Name)
	return p, nil
}

// keyOf is a hash of source, system and names, which fix the packages of a
// platform; "" if the source cannot be pinned.
func (p *Pinned) keyOf(t TargetPlatform) string {
	if p.key == "" {
		return ""
	}
	h := sha256.New()
	for _, field := range append([]string{"roots 1", p.key, nix.System(t.Platform)}, t.names...) {
		fmt.Fprintf(h, "%d:%s", len(field), field)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// Describe names a source for people, without credentials and without a path, which differs between machines.
func Describe(source spec.Nixpkgs) string {
	if source.Path != "" {
		return "path"
	}
	return sourceOf(source).String()
}

// sourceOf converts a spec's source, the only place that does.
func sourceOf(n spec.Nixpkgs) nixbuild.Source {
	source := nixbuild.Source{Channel: n.Channel, Path: n.Path, Flake: n.Flake, Config: n.Config, Overlays: n.Overlays, IncludeIgnored: n.IncludeIgnored}
	if n.Git != nil {
		source.Git = &nixbuild.Git{URL: n.Git.URL, Ref: n.Git.Ref, Rev: n.Git.Rev}
	}
	return source
}
