package build

import (
	"context"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/progress"
	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/report"
)

// Meter counts what publishing costs. Hand its methods to destinations; the
// zero value is ready, and its methods may be called from any goroutine.
type Stats struct {
	mu      sync.Mutex
	log     *slog.Logger
	stage   *progress.Stage
	begun   time.Time
	arrived map[location]layerStats
	tagged  map[string]publish.Tagging // by the tag's whole name
	stored  []location                 // images, by digest
	done    []report.Published
	all     layerTotals
	sent    int64
}

// place is where a layer or image was brought.
type location struct {
	repository string
	digest     v1.Hash
}

type layerStats struct {
	publish.Upload
	after time.Duration // since publishing began
}

func (m *Stats) start(stage *progress.Stage, log *slog.Logger) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stage, m.log, m.begun, m.arrived, m.all, m.sent = stage, log, time.Now(), nil, layerTotals{}, 0
	m.tagged, m.stored, m.done = map[string]publish.Tagging{}, nil, nil
}

// Sent takes bytes on their way, or back if they were in vain.
func (m *Stats) AddBytes(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent += n
	if m.stage != nil {
		m.stage.Add(0, n)
	}
}

// Report takes a layer that arrived.
func (m *Stats) AddLayer(u publish.Upload) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.arrived == nil {
		m.arrived = map[location]layerStats{}
	}
	a := layerStats{u, time.Since(m.begun)}
	m.arrived[location{u.Repository.Name(), u.Digest}] = a
	m.all.add(a)
	if m.log != nil {
		m.log.Debug("layer "+u.How.String(), "digest", u.Digest.String(), "bytes", u.Size, "repository", u.Repository.Name())
	}
	if m.stage != nil {
		m.stage.Add(1, 0)
	}
}

// summary says what became of the layers, in one line.
func (m *Stats) summary() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.arrived == nil {
		return progress.Size(m.sent) + " of layers"
	}
	return m.all.String()
}

// measure makes all layers and keeps none of their bytes.
func measure(ctx context.Context, all []*layers.Layer, meter *Stats) error {
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.SetLimit(runtime.GOMAXPROCS(0))
	for _, layer := range all {
		tasks.Go(func() error { return measureOne(ctx, layer, meter) })
	}
	return tasks.Wait()
}

func measureOne(ctx context.Context, layer *layers.Layer, meter *Stats) error {
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
	meter.AddBytes(n)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}
