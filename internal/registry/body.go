package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// attempt is a layer as one try of an upload sees it. go-containerregistry remembers a failed stream by the layer's identity for
// ever, so every try needs an identity of its own.
type attempt struct {
	v1.Layer
	ctx  context.Context //nolint:containedctx // v1.Layer's methods take none, and an upload must stop reading with it
	sent func(int64)

	mu     sync.Mutex
	bodies []*Body
}

// layer is what to hand to go-containerregistry: with a source, it asks the registry to mount the blob from there.
func (a *attempt) layer(from *name.Repository) v1.Layer {
	if from == nil {
		return a
	}
	digest, err := a.Digest()
	if err != nil {
		return a
	}
	return &remote.MountableLayer{Layer: a, Reference: from.Digest(digest.String())}
}

// Compressed opens the layer, counting what is read.
func (a *attempt) Compressed() (io.ReadCloser, error) {
	b, err := OpenLayer(a.ctx, a.Layer, a.sent)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bodies = append(a.bodies, b)
	return b, nil
}

// settle ends the attempt: nothing reads the layer any more when it returns, though an http.Transport may close bodies late. A
// failure to read the layer is told before the network's failure, which it caused.
func (a *attempt) settle(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range a.bodies {
		_ = b.Close()
		if failure := b.failed(); failure != nil {
			err = failure
		}
	}
	for i, b := range a.bodies {
		if err != nil || i < len(a.bodies)-1 {
			b.TakeBack()
		}
	}
	return err
}

// Body is one stream of a layer on its way out. It may be read and closed from different goroutines.
type Body struct {
	ctx   context.Context //nolint:containedctx // see attempt
	inner io.ReadCloser
	sent  func(int64)

	mu      sync.Mutex
	taken   bool
	closed  bool
	ended   bool // read to the end, and inner is closed
	read    int64
	failure error
}

// OpenLayer opens a layer. Reading fails when ctx ends; sent hears of each number of bytes that are read. Failures of the layer
// are told apart from those of where it goes.
func OpenLayer(ctx context.Context, layer v1.Layer, sent func(int64)) (*Body, error) {
	inner, err := layer.Compressed()
	if err != nil {
		return nil, &layerError{err}
	}
	return &Body{ctx: ctx, inner: inner, sent: sent}, nil
}

// take reserves the body for one request, and reports whether it was free.
func (b *Body) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	free := !b.taken
	b.taken = true
	return free
}

// Read implements [io.Reader].
func (b *Body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return 0, errReread
	case b.ended:
		return 0, io.EOF
	case b.ctx.Err() != nil:
		return 0, b.ctx.Err()
	}
	n, err := b.inner.Read(p)
	b.read += int64(n)
	b.sent(int64(n))
	if errors.Is(err, io.EOF) {
		// The layer is measured when it is closed, and a registry may answer before an http.Transport closes.
		b.ended = true
		err = b.inner.Close()
		if err == nil {
			return n, io.EOF
		}
	}
	if err != nil {
		b.failure = &layerError{err}
		return n, b.failure
	}
	return n, nil
}

// Close closes the layer, once.
func (b *Body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	if b.ended {
		return nil
	}
	if err := b.inner.Close(); err != nil {
		return &layerError{err}
	}
	return nil
}

func (b *Body) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failure
}

// TakeBack undoes the count of bytes that did not arrive.
func (b *Body) TakeBack() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent(-b.read)
	b.read = 0
}

// layerError is a layer that could not be read: no registry's fault, and not worth another try.
type layerError struct{ err error }

func (e *layerError) Error() string { return fmt.Sprintf("reading layer: %v", e.err) }
func (e *layerError) Unwrap() error { return e.err }
