package publish

import (
	"context"
	"github.com/org/nixery-action/internal/registry"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// hasty returns a Registry whose waits are short, and how many there were.
func hasty(o RegistryOptions, client ...registry.Options) (*Registry, func() []time.Duration) {
	var c registry.Options
	if len(client) > 0 {
		c = client[0]
	}
	var mu sync.Mutex
	var waited []time.Duration
	c.Retry.First, c.Retry.Max = time.Microsecond, time.Microsecond
	c.Logger = slog.New(waits(func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		waited = append(waited, d)
	}))
	o.Client = registry.New(c)
	return NewRegistry(o), func() []time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(waited)
	}
}

// waits is a log that hears of each wait before it begins.
type waits func(time.Duration)

func (w waits) Enabled(context.Context, slog.Level) bool { return true }
func (w waits) WithAttrs([]slog.Attr) slog.Handler       { return w }
func (w waits) WithGroup(string) slog.Handler            { return w }
func (w waits) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "wait" {
			w(a.Value.Duration())
		}
		return true
	})
	return nil
}
