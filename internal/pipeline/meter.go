package pipeline

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/progress"
	"github.com/org/nixery-action/internal/publish"
)

// Meter counts what publishing costs. Hand its methods to destinations; the
// zero value is ready, and its methods may be called from any goroutine.
type Meter struct {
	mu    sync.Mutex
	stage *progress.Stage
	how   map[publish.How]int
	bytes map[publish.How]int64
	sent  int64
}

func (m *Meter) start(stage *progress.Stage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stage, m.how, m.bytes, m.sent = stage, nil, nil, 0
}

// Sent takes bytes on their way, or back if they were in vain.
func (m *Meter) Sent(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent += n
	if m.stage != nil {
		m.stage.Add(0, n)
	}
}

// Report takes a layer that arrived.
func (m *Meter) Report(u publish.Upload) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.how == nil {
		m.how, m.bytes = map[publish.How]int{}, map[publish.How]int64{}
	}
	m.how[u.How]++
	m.bytes[u.How] += u.Size
	if m.stage != nil {
		m.stage.Add(1, 0)
	}
}

// summary says what became of the layers, in one line.
func (m *Meter) summary() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.how == nil {
		return progress.Size(m.sent) + " of layers"
	}
	text := fmt.Sprintf("%d layers uploaded, %s", m.how[publish.Uploaded], progress.Size(m.bytes[publish.Uploaded]))
	if n := m.how[publish.Mounted]; n > 0 {
		text += fmt.Sprintf("; %d mounted", n)
	}
	if n := m.how[publish.Existing]; n > 0 {
		text += fmt.Sprintf("; %d were there, %s", n, progress.Size(m.bytes[publish.Existing]))
	}
	return text
}

// measure makes all layers and keeps none of their bytes.
func measure(ctx context.Context, all []*layers.Layer, meter *Meter) error {
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.SetLimit(runtime.GOMAXPROCS(0))
	for _, layer := range all {
		tasks.Go(func() error { return measureOne(ctx, layer, meter) })
	}
	return tasks.Wait()
}

func measureOne(ctx context.Context, layer *layers.Layer, meter *Meter) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if _, err := layer.Record(); err == nil {
		return nil
	}
	blob, err := layer.Compressed()
	if err != nil {
		return err
	}
	defer blob.Close()
	stop := context.AfterFunc(ctx, func() { blob.Close() })
	defer stop()
	n, err := io.Copy(io.Discard, blob)
	meter.Sent(n)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}
