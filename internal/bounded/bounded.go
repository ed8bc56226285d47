// Package bounded turns what comes from outside into values: at most so many
// bytes and entries of it, counted while they are decoded, and only as long as
// the context lasts. It stands apart because every decoder needs the same rule.
//
// The invariant: no more than the limit is ever held, whatever the input claims
// to be. docs/reliability.md lists the limits.
package bounded

import (
	"context"
	"fmt"
	"io"
)

// Error says that an input is beyond a limit.
type Error struct {
	Most int64
	Unit string // "bytes", "paths"
}

func (e *Error) Error() string { return fmt.Sprintf("it has more than %d %s", e.Most, e.Unit) }

// Reader returns a reader of at most most bytes of r. A longer input is an
// [*Error] from Read instead of an end, and a context that has ended is its cause.
func Reader(ctx context.Context, r io.Reader, most int64) io.Reader {
	return &reader{ctx, r, most, most}
}

// ReadAll reads all of r, which has at most most bytes.
func ReadAll(ctx context.Context, r io.Reader, most int64) ([]byte, error) {
	return io.ReadAll(Reader(ctx, r, most))
}

type reader struct {
	ctx  context.Context
	r    io.Reader
	left int64
	most int64
}

func (r *reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	if int64(len(p)) > r.left+1 {
		p = p[:r.left+1] // one more than is allowed tells an input that ends from one that does not
	}
	n, err := r.r.Read(p)
	if int64(n) > r.left {
		n = int(r.left)
		r.left = 0
		return n, &Error{r.most, "bytes"}
	}
	r.left -= int64(n)
	return n, err
}

// Patient returns a reader of r whose Read ends when the context does, though r
// gives nothing and has no end: a pipe, a terminal. What r gives later is lost.
func Patient(ctx context.Context, r io.Reader) io.Reader {
	return &patient{ctx: ctx, r: r, read: make(chan result, 1)}
}

type patient struct {
	ctx  context.Context
	r    io.Reader
	read chan result
	left []byte // of what was read
	err  error  // that came with it
}

type result struct {
	data []byte
	err  error
}

func (p *patient) Read(b []byte) (int, error) {
	if len(p.left) == 0 && p.err == nil {
		go func() {
			data := make([]byte, 64<<10)
			n, err := p.r.Read(data)
			p.read <- result{data[:n], err}
		}()
		select {
		case got := <-p.read:
			p.left, p.err = got.data, got.err
		case <-p.ctx.Done():
			p.err = context.Cause(p.ctx)
		}
	}
	n := copy(b, p.left)
	p.left = p.left[n:]
	if len(p.left) == 0 {
		return n, p.err
	}
	return n, nil
}
