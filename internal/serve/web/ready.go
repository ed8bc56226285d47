package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// alive says that the process answers. It checks nothing else, so that an unreachable bucket does not get the process killed.
func alive(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

// Check is something that a server cannot do without.
type Check struct {
	Name string // in a word, for strangers
	Do   func(context.Context) error

	under chan error // of a check that has not ended
}

// Readiness tells whether to send clients here. Its answer is that of the last few seconds: strangers may ask, and a check may be a process.
type Readiness struct {
	checks  []Check
	log     *slog.Logger
	now     func() time.Time
	leaving atomic.Bool

	mu   sync.Mutex
	when time.Time
	err  error
}

// NewReadiness returns a Readiness that makes all checks. What is wrong goes to the log; strangers are told what, and not why.
func NewReadiness(log *slog.Logger, checks ...Check) *Readiness {
	return &Readiness{checks: checks, log: log, now: time.Now}
}

// Leave makes the server not ready from here on.
func (r *Readiness) Leave() { r.leaving.Store(true) }

// How long an answer holds, and how long a check may take.
const (
	answerHolds = 5 * time.Second
	checkTime   = 5 * time.Second
)

func (r *Readiness) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	err := errors.New("shutting down")
	if !r.leaving.Load() {
		err = r.ask()
	}
	if err != nil {
		http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

func (r *Readiness) ask() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.when.IsZero() && r.now().Sub(r.when) < answerHolds {
		return r.err
	}
	// Not the request's context: the answer is for others, too.
	ctx, cancel := context.WithTimeout(context.Background(), checkTime)
	defer cancel()
	r.err = nil
	for i := range r.checks {
		if err := r.checks[i].make(ctx); err != nil {
			r.log.Warn("not ready", "check", r.checks[i].Name, "cause", err)
			r.err = errors.New(r.checks[i].Name)
			break
		}
	}
	r.when = r.now()
	return r.err
}

// make returns when the context ends, also if the check itself does not, as on a disk that hangs. Such a check is left to itself, and
// not begun a second time until it has ended.
func (c *Check) make(ctx context.Context) error {
	select {
	case <-c.under: // too late to be of use
		c.under = nil
	default:
	}
	if c.under == nil {
		c.under = make(chan error, 1)
		go func(done chan<- error) { done <- c.Do(ctx) }(c.under)
	}
	select {
	case err := <-c.under:
		c.under = nil
		return err
	case <-ctx.Done():
		return fmt.Errorf("it has not ended within %s", checkTime)
	}
}
