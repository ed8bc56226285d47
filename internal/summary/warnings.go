package summary

import (
	"log/slog"
	"slices"
	"sync"

	"github.com/org/nixery-action/internal/logline"
)

// maxWarnings and maxWarning bound the memory for the warnings of a run; the
// log has all of them. A kept warning is far longer than a page shows it: a page
// redacts secrets before it cuts, and cannot recognise a part of one.
const (
	maxWarnings = 50
	maxWarning  = 8 * maxMessage // bytes
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
	return slog.NewMultiHandler(next, logline.NewHandler(slog.LevelWarn, w.keep))
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
	r := Remark{Place: line.Place.String(), Message: clip(line.Body(), maxWarning)}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case slices.Contains(w.kept, r):
	case len(w.kept) == maxWarnings:
		w.unkept++
	default:
		w.kept = append(w.kept, r)
	}
	return nil
}
