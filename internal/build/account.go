package build

import (
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/report"
)

// account says what the run cost and what it published.
func (j *job) account(made []built) report.Run {
	took := time.Since(j.begun)
	run := report.Run{Seconds: seconds(took), Warnings: j.warnings.given, CacheHit: !slices.ContainsFunc(distinctLayers(made), (*layers.Layer).Made)}
	run.Published = j.stats.published()
	for i, target := range j.targets {
		img := report.ImageRun{Name: target.Name, Seconds: seconds(took), Tags: j.tagRuns(i)}
		repositories := repositoriesOf(j.dests, i)
		if arrived, ok := j.stats.of(digestsOf(made[i]), repositories); ok {
			img.Seconds = seconds(j.stats.since(j.begun) + arrived.after)
		}
		for _, layer := range distinctLayers(made[i : i+1]) {
			digest, err := layer.Digest()
			if err != nil {
				continue // no destination wanted it
			}
			img.Layers = append(img.Layers, report.LayerRun{Digest: digest, Status: j.stats.came(layer, digest, repositories)})
		}
		img.Inspections = j.inspections.of(made[i].platforms, repositories)
		run.Images = append(run.Images, img)
	}
	return run
}

// seconds are rounded to what people and graphs can use.
func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }

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
