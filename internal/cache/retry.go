package cache

import (
	"context"
	"errors"
	"time"

	"github.com/org/nixery-action/internal/retry"
)

// Attempts is how often a request is sent, in all.
const Attempts = 4

// policy is shorter than that of other requests: rebuilding a layer takes less than a minute, so a store that needs longer is
// worth less than going on without it. No attempt begins later than Patience after the first.
var policy = retry.Policy{Attempts: Attempts, First: 500 * time.Millisecond, MaxAfter: 20 * time.Second, Patience: 20 * time.Second}

// Retry runs op again while it fails with a [*StoreError] whose Again is set, and returns the last error. A store that asks for a
// longer wait than the policy allows has failed.
func Retry[T any](ctx context.Context, op func() (T, error)) (T, error) {
	judge := func(err error) retry.Verdict {
		fault, ok := errors.AsType[*StoreError](err)
		if !ok {
			return retry.Verdict{}
		}
		return retry.Verdict{Again: fault.Again, After: fault.After}
	}
	return retry.Do(ctx, policy, judge, nil, func(context.Context) (T, error) { return op() })
}
