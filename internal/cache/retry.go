package cache

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

const (
	Attempts  = 4
	firstWait = 500 * time.Millisecond
	maxAfter  = 30 * time.Second // what a store may ask for: making a layer takes less
	patience  = 20 * time.Second // after which there is no other attempt
)

// retry runs op until it succeeds or another attempt is of no use. A store that asks for a longer wait than is bearable has
// failed.
func Retry[T any](ctx context.Context, op func() (T, error)) (T, error) {
	begin := time.Now()
	for attempt := 1; ; attempt++ {
		result, err := op()
		var fault *StoreError
		if err == nil || ctx.Err() != nil || !errors.As(err, &fault) || !fault.Again {
			return result, err
		}
		if attempt == Attempts || time.Since(begin) > patience || fault.After > maxAfter {
			return result, err
		}
		if err := Sleep(ctx, max(backoff(attempt), fault.After)); err != nil {
			return result, err
		}
	}
}

// backoff doubles with each attempt, counted from one, and is lengthened by up to a half at random, so that the jobs of a matrix
// do not come back all at once.
func backoff(attempt int) time.Duration {
	wait := firstWait << (attempt - 1)
	return wait + rand.N(wait/2)
}

func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// retryAfter reads a Retry-After header: seconds, or a date (RFC 9110 section 10.2.3). Anything else is no wait.
func RetryAfter(header string) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		return time.Duration(min(max(seconds, 0), 3600)) * time.Second
	}
	if date, err := http.ParseTime(header); err == nil {
		return max(time.Until(date), 0)
	}
	return 0
}
