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
type Meter struct {
	mu      sync.Mutex
	log     *slog.Logger
	stage   *progress.Stage
	begun   time.Time
	arrived map[place]arrival
	tagged  map[string]publish.Tagging // by the tag's whole name
	stored  []place                    // images, by digest
	done    []report.Published
	all     tally
	sent    int64
}

// place is where a layer or image was brought.
type place struct {
	repository string
	digest     v1.Hash
}

type arrival struct {
	publish.Upload
	after time.Duration // since publishing began
}

func (m *Meter) start(stage *progress.Stage, log *slog.Logger) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stage, m.log, m.begun, m.arrived, m.all, m.sent = stage, log, time.Now(), nil, tally{}, 0
	m.tagged, m.stored, m.done = map[string]publish.Tagging{}, nil, nil
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
	if m.arrived == nil {
		m.arrived = map[place]arrival{}
	}
	a := arrival{u, time.Since(m.begun)}
	m.arrived[place{u.Repository.Name(), u.Digest}] = a
	m.all.add(a)
	if m.log != nil {
		m.log.Debug("layer "+u.How.String(), "digest", u.Digest.String(), "bytes", u.Size, "repository", u.Repository.Name())
	}
	if m.stage != nil {
		m.stage.Add(1, 0)
	}
}

// summary says what became of the layers, in one line.
func (m *Meter) summary() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.arrived == nil {
		return progress.Size(m.sent) + " of layers"
	}
	return m.all.String()
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
