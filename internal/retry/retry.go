// Package retry is the one policy for requests that may succeed on a later
// attempt. Registries, caches, binary caches and downloads judge their own
// errors; how often and after which waits they are tried again is decided here.
package retry

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Policy says how often an operation is tried, and after which waits. A zero
// field has the value of [Default].
type Policy struct {
	Attempts int           // tries in all
	First    time.Duration // wait after the first failure; it doubles with each, and is lengthened by up to a half at random
	Max      time.Duration // longest such wait, before it is lengthened
	MaxAfter time.Duration // longest wait that a server may ask for; an error that asks for more is final
	Patience time.Duration // no attempt begins later than this after the first began
}

// Default waits one, two, four and eight seconds. It ends within two minutes,
// unless servers ask for more: a runner that sleeps costs money, and a longer
// quota is better met by a clear error.
var Default = Policy{Attempts: 5, First: time.Second, Max: 15 * time.Second, MaxAfter: time.Minute, Patience: 5 * time.Minute}

func (p Policy) withDefaults() Policy {
	if p.Attempts <= 0 {
		p.Attempts = Default.Attempts
	}
	for _, field := range []struct {
		value   *time.Duration
		missing time.Duration
	}{{&p.First, Default.First}, {&p.Max, Default.Max}, {&p.MaxAfter, Default.MaxAfter}, {&p.Patience, Default.Patience}} {
		if *field.value <= 0 {
			*field.value = field.missing
		}
	}
	return p
}

// waits are those of one operation, as the library asks for them.
type waits struct {
	Policy
	next time.Duration
}

func (w *waits) Reset() { w.next = w.First }

func (w *waits) NextBackOff() time.Duration {
	wait := w.next
	w.next = min(2*w.next, w.Max)
	return wait + rand.N(wait/2+1)
}

// Verdict is what an error means for a further attempt.
type Verdict struct {
	Again bool          // another attempt may succeed
	After time.Duration // the server asks for at least this wait; 0 for none
}

// Do runs op until it succeeds, judge calls its error final, or the policy ends
// it. note, which may be nil, hears of each wait before it begins. The error is
// that of the last attempt, or the context's cause if that ended a wait. Do may
// be called from many goroutines.
func Do[T any](ctx context.Context, p Policy, judge func(error) Verdict, note func(err error, wait time.Duration), op func(context.Context) (T, error)) (T, error) {
	p = p.withDefaults()
	w := &waits{Policy: p}
	var last error
	result, err := backoff.Retry(ctx, func() (T, error) {
		result, err := op(ctx)
		last = err
		if err == nil {
			return result, nil
		}
		verdict := judge(err)
		if !verdict.Again || ctx.Err() != nil || verdict.After > p.MaxAfter {
			return result, backoff.Permanent(err)
		}
		if own := w.next; verdict.After > own {
			return result, &backoff.RetryAfterError{Duration: verdict.After}
		}
		return result, err
	}, backoff.WithBackOff(w), backoff.WithMaxTries(uint(p.Attempts)), backoff.WithMaxElapsedTime(p.Patience),
		backoff.WithNotify(func(_ error, wait time.Duration) {
			if note != nil {
				note(last, wait)
			}
		}))
	switch {
	case err == nil:
		return result, nil
	case ctx.Err() != nil && errors.Is(err, context.Cause(ctx)):
		return result, err
	case last != nil: // never the library's own wrapper
		return result, last
	}
	return result, err
}

// After reads a Retry-After header, seconds or a date (RFC 9110, section
// 10.2.3), as of now. Anything else, and what is past, is no wait.
func After(header string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		return time.Duration(min(max(seconds, 0), 24*60*60)) * time.Second
	}
	if date, err := http.ParseTime(header); err == nil {
		return max(date.Sub(now), 0)
	}
	return 0
}
