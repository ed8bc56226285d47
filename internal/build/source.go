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

// pinned is the package source of a run. Its key is empty if nobody can tell
// whether it means today what it meant yesterday.
type pinned struct {
	nixbuild.Source
	key    string
	report report.Source
}

// Pinned is a package source that was pinned for several runs.
type Pinned struct{ pinned }

// Report says what the source is, and what it stood for.
func (p *Pinned) Report() report.Source { return p.report }

// Pin finds out what a source stands for now. Give it to a Line as its Pinned, and runs ask no more.
func (l *Builder) Pin(ctx context.Context, source spec.Nixpkgs) (*Pinned, error) {
	p, err := l.pin(ctx, source)
	if err != nil {
		return nil, err
	}
	return &Pinned{p}, nil
}

// fix is the source of a run.
func (l *Builder) fix(ctx context.Context, source spec.Nixpkgs) (pinned, error) {
	if l.Pinned != nil {
		return l.Pinned.pinned, nil
	}
	return l.pin(ctx, source)
}

// pin fixes what the source stands for, for the whole run.
func (l *Builder) pin(ctx context.Context, source spec.Nixpkgs) (pinned, error) {
	moving := sourceOf(source)
	p := pinned{Source: moving, report: report.Source{Source: Describe(source)}}
	level := slog.LevelInfo
	if moving.Path != "" { // which is known
		level = slog.LevelDebug
	}
	fixed, pin, err := nixbuild.Pin(ctx, l.Runner, moving)
	if pin.Warning != "" {
		l.Log.Warn(pin.Warning)
	}
	if errors.Is(err, nixbuild.ErrUnpinned) {
		l.Log.Log(ctx, level, "every run must evaluate", "cause", err)
		p.Source = fixed
		return p, nil
	}
	if err != nil {
		return p, err
	}
	p.Source, p.key, p.report.Pinned = fixed, pin.Key, pin.Name
	if pin.Name == p.report.Source {
		level = slog.LevelDebug
	}
	l.Log.Log(ctx, level, "package source", "source", p.report.Source, "is", pin.Name)
	return p, nil
}

// keyOf is that of all that fixes which packages a wish gets; "" if the source
// is not pinned.
func (p pinned) keyOf(w TargetPlatform) string {
	if p.key == "" {
		return ""
	}
	h := sha256.New()
	for _, field := range append([]string{"roots 1", p.key, nix.System(w.Platform)}, w.names...) {
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

func sourceOf(n spec.Nixpkgs) nixbuild.Source {
	source := nixbuild.Source{Channel: n.Channel, Path: n.Path, Flake: n.Flake, Config: n.Config, Overlays: n.Overlays, IncludeIgnored: n.IncludeIgnored}
	if n.Git != nil {
		source.Git = &nixbuild.Git{URL: n.Git.URL, Ref: n.Git.Ref, Rev: n.Git.Rev}
	}
	return source
}
