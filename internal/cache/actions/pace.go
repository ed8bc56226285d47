package actions

import (
	"context"
	"sync"
	"time"
)

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
func (p *pace) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(p.take(time.Now())):
		return nil
	}
}

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
