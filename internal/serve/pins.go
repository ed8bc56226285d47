package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/org/nixery-action/internal/build"
	"github.com/org/nixery-action/internal/spec"
)

// pins has what moving sources stand for now, each asked once in a while, however many builds there are.
type pins struct {
	fresh time.Duration
	now   func() time.Time
	log   *slog.Logger

	mu  sync.Mutex
	all map[string]*pin
}

type pin struct {
	turn   chan struct{} // holds one token; who has it may ask
	mu     sync.Mutex
	source *build.Pinned
	when   time.Time
}

// maxPins bounds what is remembered: anybody may name a branch.
const maxPins = 256

// of returns what a source stands for. If nobody can tell just now, what was told before counts.
func (p *pins) of(ctx context.Context, line *build.Line, source spec.Nixpkgs) (*build.Pinned, error) {
	e, err := p.entry(source)
	if err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-e.turn:
	}
	defer func() { e.turn <- struct{}{} }()
	old, when := e.get()
	if old != nil && p.now().Sub(when) < p.fresh {
		return old, nil
	}
	asked := p.now()
	pinned, err := line.Pin(ctx, source)
	if err != nil && old != nil && ctx.Err() == nil {
		p.log.Warn("nobody can tell what the package source stands for, so it is what it was", "source", old.Report().Source, "since", when, "cause", err)
		return old, nil
	}
	if err != nil {
		return nil, err
	}
	e.set(pinned, asked)
	return pinned, nil
}

// entry is that of a source; a new one if there is none.
func (p *pins) entry(source spec.Nixpkgs) (*pin, error) {
	key, err := json.Marshal(source)
	if err != nil {
		return nil, fmt.Errorf("reading the package source: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e, ok := p.all[string(key)]
	if !ok {
		if len(p.all) >= maxPins {
			clear(p.all)
		}
		e = &pin{turn: make(chan struct{}, 1)}
		e.turn <- struct{}{}
		p.all[string(key)] = e
	}
	return e, nil
}

func (e *pin) get() (*build.Pinned, time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.source, e.when
}

func (e *pin) set(source *build.Pinned, when time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.source, e.when = source, when
}
