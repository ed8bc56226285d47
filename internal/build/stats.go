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

// Stats counts what publishing costs: layers, bytes, tags, images. Destinations
// call its methods, from any goroutine. The zero value is ready, and a run that
// starts again resets it.
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

// location is a blob or manifest in a repository: "ghcr.io/acme/box", sha256:1f…
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

// AddBytes adds to the bytes sent. It gets a negative number for those of an
// upload that broke and is retried.
func (s *Stats) AddBytes(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent += n
	if s.stage != nil {
		s.stage.Add(0, n)
	}
}

// AddLayer records a layer that a repository has now, and how it got there.
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

// summary returns the status of all layers in one line:
//
//	7 layers uploaded, 2.4 kB; 1 mounted, 90 B; 2 were there, 553 B
func (s *Stats) summary() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.arrived == nil {
		return progress.Size(s.sent) + " of layers"
	}
	return s.all.String()
}

// measure packs all layers for their digests, as many at once as there are
// cores, and discards their bytes.
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

// layerTotals counts layers and their bytes by status, indexed by [publish.How].
type layerTotals struct {
	layers [3]int
	bytes  [3]int64
	after  time.Duration // from the start of publishing until the last of them was there
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

// saved returns the bytes that were not sent: of layers mounted or existing.
func (t *layerTotals) saved() int64 { return t.bytes[publish.Mounted] + t.bytes[publish.Existing] }

// of sums up some layers in some repositories, and reports whether any of these
// repositories has one of them.
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

// tellImages logs what the layers of each image cost. For a single image the
// line of the stage has it already.
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

// since returns the time from t until publishing began.
func (s *Stats) since(t time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun.Sub(t)
}

// came returns the status of a layer in some repositories: the one that cost
// most, or whether it was packed if none of them has it.
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

// AddTag records the outcome of a tag.
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

// AddImage records that a repository has an image, by digest.
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

// deliver records that a destination has everything.
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

// warnOfDelivered names the destinations that keep what was published when a
// later one fails.
func (s *Stats) warnOfDelivered() {
	for _, p := range s.published() {
		s.log.Warn("already published, and it stays: " + strings.TrimSpace("type="+string(p.Kind)+" "+p.Path))
	}
}
