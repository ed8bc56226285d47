package registry

import (
	"context"
	"errors"
	"github.com/org/nixery-action/internal/registry/registrytest"
	"io"
	"net/http"
	"testing"
)

// A transport may still be reading a body when its request is sent again: the second reader would steal bytes of the first.
func TestBodyIsSentOnce(t *testing.T) {
	a := &attempt{Layer: registrytest.NewLayer(t, 1, 1000), ctx: t.Context(), sent: func(int64) {}}
	stream, err := a.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, "https://r.example/v2/a/blobs/uploads/1", stream)
	if err != nil {
		t.Fatal(err)
	}
	w := newWire(nil, nil)
	for i, want := range []error{nil, errReread} {
		if err := w.refuse(req); !errors.Is(err, want) {
			t.Errorf("sending %d: error is %v, want %v", i, err, want)
		}
	}
}

func TestSettledAttemptReadsNoMore(t *testing.T) {
	layer := registrytest.NewLayer(t, 1, 1000)
	var sent int64
	a := &attempt{Layer: layer, ctx: t.Context(), sent: func(n int64) { sent += n }}
	stream, err := a.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, stream, 100); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if err := a.settle(broken); !errors.Is(err, broken) {
		t.Errorf("settled with %v", err)
	}
	if layer.Live.Load() != 0 || sent != 0 {
		t.Errorf("%d streams are open, and %d bytes are said to be sent", layer.Live.Load(), sent)
	}
	if _, err := stream.Read(make([]byte, 1)); !errors.Is(err, errReread) {
		t.Errorf("reading on: %v", err)
	}
}

func TestBodyStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	a := &attempt{Layer: registrytest.NewLayer(t, 1, 1000), ctx: ctx, sent: func(int64) {}}
	stream, err := a.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(stream); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if err := stream.Close(); err != nil {
		t.Error(err)
	}
}
