package build

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
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

// tally counts layers and their bytes by how they came to be there.
type layerTotals struct {
	layers [3]int
	bytes  [3]int64
	after  time.Duration // when the last of them was there
}

func (t *layerTotals) add(a layerStats) {
	t.layers[a.How]++
	t.bytes[a.How] += a.Size
	t.after = max(t.after, a.after)
}

func (t *layerTotals) String() string {
	text := fmt.Sprintf("%d layers uploaded, %s", t.layers[publish.Uploaded], progress.Size(t.bytes[publish.Uploaded]))
	if n := t.layers[publish.Mounted]; n > 0 {
		text += fmt.Sprintf("; %d mounted, %s", n, progress.Size(t.bytes[publish.Mounted]))
	}
	if n := t.layers[publish.Existing]; n > 0 {
		text += fmt.Sprintf("; %d were there, %s", n, progress.Size(t.bytes[publish.Existing]))
	}
	return text
}

// saved is the bytes that need not be sent.
func (t *layerTotals) saved() int64 { return t.bytes[publish.Mounted] + t.bytes[publish.Existing] }

// of is what became of some layers in some repositories. It is false if no
// registry got them.
func (s *Stats) of(digests []v1.Hash, repositories []name.Repository) (t layerTotals, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, repository := range repositories {
		for _, digest := range digests {
			if a, there := s.arrived[location{repository.Name(), digest}]; there {
				t.add(a)
				ok = true
			}
		}
	}
	return t, ok
}

// tellImages says of each image what its layers cost. For a single one the
// stage has said it.
func (b *Builder) tellImages(targets []Target, dests []Delivery, made []built, stats *Stats) {
	if len(targets) < 2 {
		return
	}
	for i, target := range targets {
		t, ok := stats.of(digestsOf(made[i]), repositoriesOf(dests, i))
		if !ok {
			continue
		}
		text := fmt.Sprintf("image %s: %s; %s saved", target.Name, &t, progress.Size(t.saved()))
		if took := t.after.Truncate(time.Second); took > 0 {
			text += " (" + took.String() + ")"
		}
		b.Log.Info(text)
	}
}

func digestsOf(b built) []v1.Hash {
	var digests []v1.Hash
	for _, layer := range distinctLayers([]built{b}) {
		if digest, err := layer.Digest(); err == nil {
			digests = append(digests, digest)
		}
	}
	return digests
}

// repositoriesOf are those of one image at all destinations.
func repositoriesOf(dests []Delivery, image int) []name.Repository {
	var all []name.Repository
	for _, d := range dests {
		all = append(all, d.of(image).repositories()...)
	}
	return distinctRepositories(all)
}

// since is the time from t until publishing began.
func (s *Stats) since(t time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun.Sub(t)
}

// came says how a layer came to be in those repositories.
func (s *Stats) came(layer *layers.Layer, digest v1.Hash, repositories []name.Repository) report.LayerStatus {
	came := report.Cached
	if layer.Made() {
		came = report.Built
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	most := publish.Existing
	for _, repository := range repositories {
		if a, there := s.arrived[location{repository.Name(), digest}]; there {
			most = max(most, a.How)
			came = map[publish.How]report.LayerStatus{
				publish.Existing: report.Existing, publish.Mounted: report.Mounted, publish.Uploaded: report.Uploaded,
			}[most]
		}
	}
	return came
}

// Tagged takes what became of a tag.
func (s *Stats) AddTag(t publish.Tagging) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tagged == nil {
		s.tagged = map[string]publish.Tagging{}
	}
	s.tagged[t.Tag.Name()] = t
	if s.log != nil {
		s.log.Debug("tag: " + t.String())
	}
}

// Stored takes a repository that has an image, by digest.
func (s *Stats) AddImage(repository name.Repository, digest v1.Hash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored = append(s.stored, location{repository.Name(), digest})
}

func (s *Stats) tagging(tag name.Tag) (publish.Tagging, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tagged[tag.Name()]
	return t, ok
}

func (s *Stats) has(repository name.Repository, digest v1.Hash) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.stored, location{repository.Name(), digest})
}

func (s *Stats) anyStored() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.stored) > 0
}

// deliver notes that a destination has everything.
func (s *Stats) deliver(d Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := report.Published{Kind: d.Kind, Path: d.Path, Names: []string{}}
	for _, names := range d.Names {
		for _, tag := range names.Tags {
			p.Names = append(p.Names, tag.Name())
		}
		for _, repository := range names.Repositories {
			p.Names = append(p.Names, repository.Name())
		}
	}
	s.done = append(s.done, p)
}

func (s *Stats) published() []report.Published {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.done)
}

func (s *Stats) delivered(d Delivery) bool {
	return slices.ContainsFunc(s.published(), func(p report.Published) bool { return p.Kind == d.Kind && p.Path == d.Path })
}

// warnOfDelivered says what stays when a later destination fails.
func (s *Stats) warnOfDelivered() {
	for _, p := range s.published() {
		s.log.Warn("already published, and it stays: " + strings.TrimSpace("type="+string(p.Kind)+" "+p.Path))
	}
}
