package nixinstall

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/org/nixery-action/internal/nixbuild"
)

// Runner is a [nixbuild.Runner] that sees to it that there is a Nix when one of
// its programs is first called and not found. A run that needs no Nix installs
// none.
type Runner struct {
	next   nixbuild.Runner
	obtain func(context.Context) error

	mu    sync.Mutex
	tried bool
	err   error // of the only try
}

// NewRunner returns a Runner that runs programs by next. obtain makes them
// findable for next, or says why not; it is called once at most, but for calls
// that a cancelled context ends.
func NewRunner(next nixbuild.Runner, obtain func(context.Context) error) *Runner {
	return &Runner{next: next, obtain: obtain}
}

// Run implements [nixbuild.Runner].
func (r *Runner) Run(ctx context.Context, args ...string) ([]byte, error) {
	out, err := r.next.Run(ctx, args...)
	if !errors.Is(err, nixbuild.ErrNoNix) {
		return out, err
	}
	if err := r.once(ctx); err != nil {
		return nil, fmt.Errorf("%w\n%w", err, nixbuild.ErrNoNix)
	}
	return r.next.Run(ctx, args...)
}

func (r *Runner) once(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tried {
		return r.err
	}
	err := r.obtain(ctx)
	if ctx.Err() == nil {
		r.tried, r.err = true, err
	}
	return err
}
