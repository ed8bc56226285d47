package summary

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"

	"github.com/org/nixery-action/internal/logline"
)

// mostWarnings and longestWarning bound what is kept of a run that warns all
// the time; the log has all of it. What is kept is far longer than what a page shows:
// a page hides secrets before it cuts, and must not be given a part of one.
const (
	mostWarnings   = 50
	longestWarning = 8 * longestMessage // bytes
)

// Warnings keeps a run's warnings, each once. The zero value is ready, and may
// be used from any goroutine.
type Warnings struct {
	mu     sync.Mutex
	kept   []Remark
	unkept int
}

// Handler returns a handler that keeps warnings, and hands all records to next.
func (w *Warnings) Handler(next slog.Handler) slog.Handler {
	return both{next, logline.NewHandler(slog.LevelWarn, w.keep)}
}

// Kept returns the warnings so far, in their order, and how many more there were.
func (w *Warnings) Kept() (kept []Remark, unkept int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.kept), w.unkept
}

func (w *Warnings) keep(line logline.Line) error {
	if line.Level >= slog.LevelError { // errors that end the run are on the page already
		return nil
	}
	r := Remark{Place: line.Place.String(), Message: clip(line.Body(), longestWarning)}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case slices.Contains(w.kept, r):
	case len(w.kept) == mostWarnings:
		w.unkept++
	default:
		w.kept = append(w.kept, r)
	}
	return nil
}

// both hands records to two handlers.
type both struct{ one, two slog.Handler }

// Enabled says whether either wants records of this level.
func (b both) Enabled(ctx context.Context, level slog.Level) bool {
	return b.one.Enabled(ctx, level) || b.two.Enabled(ctx, level)
}

// Handle gives a record to those that want it.
func (b both) Handle(ctx context.Context, record slog.Record) error {
	var errs []error
	for _, h := range []slog.Handler{b.one, b.two} {
		if h.Enabled(ctx, record.Level) {
			errs = append(errs, h.Handle(ctx, record.Clone()))
		}
	}
	return errors.Join(errs...)
}

// WithAttrs gives both the attributes.
func (b both) WithAttrs(attrs []slog.Attr) slog.Handler {
	return both{b.one.WithAttrs(attrs), b.two.WithAttrs(attrs)}
}

// WithGroup gives both the group.
func (b both) WithGroup(name string) slog.Handler {
	return both{b.one.WithGroup(name), b.two.WithGroup(name)}
}
