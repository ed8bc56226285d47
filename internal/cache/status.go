package cache

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
)

// storeStatus stands before a store for the rest of a run: it closes when asking again would only cost time, and tells the log of each
// kind of fault once. It is safe for concurrent use.
type storeStatus struct {
	logger *slog.Logger

	mu       sync.Mutex
	closed   bool // to all
	readOnly bool
	told     map[Kind]bool
	faults   []error // one of each kind, in order
}

func newStoreStatus(logger *slog.Logger) *storeStatus {
	return &storeStatus{logger: logger, told: map[Kind]bool{}}
}

func (g *storeStatus) mayRead() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.closed
}

func (g *storeStatus) mayWrite() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.closed && !g.readOnly
}

// read and write end an error of the store that reading or writing gave. What is missing or exists is no fault, and neither is
// a run that was cancelled.
func (g *storeStatus) read(ctx context.Context, err error)  { g.end(ctx, err, false) }
func (g *storeStatus) write(ctx context.Context, err error) { g.end(ctx, err, true) }

func (g *storeStatus) end(ctx context.Context, err error, writing bool) {
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrExists) {
		return
	}
	kind := Other
	var fault *StoreError
	if errors.As(err, &fault) {
		kind = fault.Kind
	}
	if g.note(kind, err, writing) {
		g.logger.LogAttrs(ctx, level(kind), consequence(kind, writing), slog.String("cause", err.Error()))
	}
}

// note closes what should be closed, and says whether this kind is new.
func (g *storeStatus) note(kind Kind, err error, writing bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch kind {
	case Absent, Unreachable, Throttled:
		g.closed = true
	case Unauthorized, Denied:
		g.readOnly = true
		g.closed = g.closed || !writing
	}
	if g.told[kind] {
		return false
	}
	g.told[kind] = true
	g.faults = append(g.faults, err)
	return true
}

func (g *storeStatus) problems() []error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.faults)
}

// level is a warning unless all is as it must be: a pull request from a fork may not write, and not every machine has a cache
// service.
func level(kind Kind) slog.Level {
	if kind == Absent || kind == Denied {
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

func consequence(kind Kind, writing bool) string {
	switch {
	case kind == Damaged:
		return "something in the cache is damaged, and not used"
	case kind == Unmarked:
		return "a cache entry is not trusted, and what it describes is rebuilt"
	case kind == Other && writing:
		return "not saved in the cache"
	case kind == Other:
		return "not read from the cache"
	case writing && (kind == Denied || kind == Unauthorized):
		return "the cache is not written in this run"
	}
	return "the cache is not used in this run"
}
