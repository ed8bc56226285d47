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

func (s *Stats) start(stage *progress.Stage, log *slog.Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stage, s.log, s.begun, s.arrived, s.all, s.sent = stage, log, time.Now(), nil, layerTotals{}, 0
	s.tagged, s.stored, s.done = map[string]publish.Tagging{}, nil, nil
}

// Sent takes bytes on their way, or back if they were in vain.
func (s *Stats) AddBytes(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent += n
	if s.stage != nil {
		s.stage.Add(0, n)
	}
}

// Report takes a layer that arrived.
func (s *Stats) AddLayer(u publish.Upload) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.arrived == nil {
		s.arrived = map[location]layerStats{}
	}
	a := layerStats{u, time.Since(s.begun)}
	s.arrived[location{u.Repository.Name(), u.Digest}] = a
	s.all.add(a)
	if s.log != nil {
		s.log.Debug("layer "+u.How.String(), "digest", u.Digest.String(), "bytes", u.Size, "repository", u.Repository.Name())
	}
	if s.stage != nil {
		s.stage.Add(1, 0)
	}
}

// summary says what became of the layers, in one line.
func (s *Stats) summary() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.arrived == nil {
		return progress.Size(s.sent) + " of layers"
	}
	return s.all.String()
}

// measure makes all layers and keeps none of their bytes.
func measure(ctx context.Context, all []*layers.Layer, stats *Stats) error {
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.SetLimit(runtime.GOMAXPROCS(0))
	for _, layer := range all {
		tasks.Go(func() error { return measureOne(ctx, layer, stats) })
	}
	return tasks.Wait()
}

func measureOne(ctx context.Context, layer *layers.Layer, stats *Stats) error {
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
	stats.AddBytes(n)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}
