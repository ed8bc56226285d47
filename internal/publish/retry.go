package publish

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

// longestRetryAfter bounds what a registry may ask for: a runner that sleeps costs money, and a longer quota is better met
// by a clear error.
const longestRetryAfter = 60 * time.Second

// Backoff says how often and after which waits an operation that failed is tried again. Its zero value means five
// attempts with waits of one, two, four and eight seconds, each lengthened by up to a half at random.
type Backoff struct {
	Attempts int           // tries in all
	First    time.Duration // wait after the first failure; it doubles with each
	Longest  time.Duration // bound of a wait; a registry's Retry-After may exceed it, up to a minute
}

func (b Backoff) withDefaults() Backoff {
	if b.Attempts <= 0 {
		b.Attempts = 5
	}
	if b.First <= 0 {
		b.First = time.Second
	}
	if b.Longest <= 0 {
		b.Longest = 15 * time.Second
	}
	return b
}

// wait is the pause after the given failed attempt, counted from one. What the registry asked for is a lower bound.
func (b Backoff) wait(attempt int, asked time.Duration) time.Duration {
	wait := b.First
	for range attempt - 1 {
		wait = min(2*wait, b.Longest)
	}
	wait += time.Duration(rand.Int64N(int64(wait)/2 + 1))
	return max(wait, min(asked, longestRetryAfter))
}

// retry runs op until it succeeds, fails for good, or has used up its attempts. It returns what the wire told about the
// last attempt.
func (r *Registry) retry(ctx context.Context, what, where string, again func(error) bool, op func(context.Context) error) (How, error) {
	for attempt := 1; ; attempt++ {
		t := &trace{}
		err := op(withTrace(ctx, t))
		how, asked := t.learnt()
		if err == nil || ctx.Err() != nil || attempt >= r.backoff.Attempts || !again(err) {
			return how, err
		}
		wait := r.backoff.wait(attempt, asked)
		r.logger.LogAttrs(ctx, slog.LevelWarn, "trying again",
			slog.String("what", what), slog.String("where", where), slog.Duration("wait", wait), slog.String("cause", cause(err)))
		if err := r.sleep(ctx, wait); err != nil {
			return how, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
