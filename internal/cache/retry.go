package cache

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	attempts  = 4
	firstWait = 500 * time.Millisecond
	maxAfter  = 30 * time.Second // what a store may ask for: making a layer takes less
	patience  = 20 * time.Second // after which there is no other attempt
)

// retry runs op until it succeeds or another attempt is of no use. A store that asks for a longer wait than is bearable has
// failed.
func retry[T any](ctx context.Context, op func() (T, error)) (T, error) {
	begin := time.Now()
	for attempt := 1; ; attempt++ {
		result, err := op()
		var fault *StoreError
		if err == nil || ctx.Err() != nil || !errors.As(err, &fault) || !fault.again {
			return result, err
		}
		if attempt == attempts || time.Since(begin) > patience || fault.after > maxAfter {
			return result, err
		}
		if err := sleep(ctx, max(backoff(attempt), fault.after)); err != nil {
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

func sleep(ctx context.Context, d time.Duration) error {
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
func retryAfter(header string) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		return time.Duration(min(max(seconds, 0), 3600)) * time.Second
	}
	if date, err := http.ParseTime(header); err == nil {
		return max(time.Until(date), 0)
	}
	return 0
}

// The Actions cache allows 200 uploads a minute to all jobs of a repository together. In no minute are there more than
// paceBurst + pacePerMinute from one run.
const (
	paceBurst     = 40
	pacePerMinute = 100
)

// pace is a token bucket.
type pace struct {
	mu   sync.Mutex
	left float64
	at   time.Time // when left was true
}

// wait returns when one more upload is allowed.
func (p *pace) wait(ctx context.Context) error { return sleep(ctx, p.take(time.Now())) }

// take takes a token, and returns how long it takes to come.
func (p *pace) take(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at.IsZero() {
		p.left = paceBurst
	} else {
		p.left = min(paceBurst, p.left+now.Sub(p.at).Minutes()*pacePerMinute)
	}
	p.at = now
	p.left--
	if p.left >= 0 {
		return 0
	}
	return time.Duration(-p.left / pacePerMinute * float64(time.Minute))
}
