package build

import (
	"context"
	"fmt"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/report"
)

// account returns what the run cost and published. Seconds of an image last
// until its last layer arrived; without a registry, until the end.
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
				continue // no destination read it
			}
			img.Layers = append(img.Layers, report.LayerRun{Digest: digest, Status: j.stats.came(layer, digest, repositories)})
		}
		img.Inspections = j.inspections.of(made[i].platforms, repositories)
		run.Images = append(run.Images, img)
	}
	return run
}

// seconds rounds to milliseconds: 1.23456 s ▶ 1.235.
func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }

// partial returns what a failed run published; nil if it published nothing.
func (j *job) partial(made []built) *Report {
	if made == nil || len(j.stats.published()) == 0 && !j.stats.anyStored() {
		return nil
	}
	run := j.account(made)
	run.Incomplete = true
	r, err := j.describe(made)
	if err != nil {
		j.Log.Warn("what was published cannot be reported", "cause", err)
		return nil
	}
	r.Run = run
	return r
}

// named returns the references that name an image now, and the repositories
// that have it by digest. A tag counts only once it was set.
func (j *job) named(image int, digest v1.Hash) (tags, repositories []string) {
	tags = []string{}
	for _, d := range j.dests {
		names := d.of(image)
		for _, tag := range names.Tags {
			t, ok := j.stats.tagging(tag)
			pushed := d.Kind == report.ToRegistry && ok && t.Outcome.Set()
			if (pushed || d.Kind == report.ToDaemon && j.stats.delivered(d)) && !slices.Contains(tags, tag.Name()) {
				tags = append(tags, tag.Name())
			}
		}
		for _, repository := range names.repositories() {
			if d.Kind == report.ToRegistry && j.stats.has(repository, digest) {
				repositories = append(repositories, repository.Name())
			}
		}
	}
	return tags, repositories
}

// tagRuns returns the outcomes of an image's tags in registries. Tags that the
// push did not reach are untried.
func (j *job) tagRuns(image int) []report.TagRun {
	var all []report.TagRun
	for _, d := range j.dests {
		if d.Kind != report.ToRegistry {
			continue
		}
		for _, tag := range d.of(image).Tags {
			t, ok := j.stats.tagging(tag)
			if !ok {
				t = publish.Tagging{Tag: tag, Outcome: publish.Untried}
			}
			all = append(all, tagRun(t))
		}
	}
	return all
}

func tagRun(t publish.Tagging) report.TagRun {
	r := report.TagRun{Tag: t.Tag.Name(), Outcome: string(t.Outcome)}
	if t.Asked && t.From != (v1.Hash{}) {
		r.From = t.From.String()
	}
	if t.Err != nil {
		r.Error = t.Err.Error()
	}
	return r
}

// Report is what a run built and did.
type Report = report.Report

// report returns what the run built and did, with changes since the images that
// the first tags named before.
func (j *job) report(ctx context.Context, images []built, run report.Run) (*Report, error) {
	r, err := j.describe(images)
	if err != nil {
		return nil, err
	}
	r.Run = run
	j.changes(ctx, images, r)
	return r, nil
}

func (j *job) describe(all []built) (*Report, error) {
	r := &Report{Source: j.source.report}
	for i, b := range all {
		img, err := describeImage(b)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", j.targets[i].Name, err)
		}
		img.Name = j.targets[i].Name
		img.Tags, img.Repositories = j.named(i, img.Digest)
		r.Images = append(r.Images, img)
	}
	return r, nil
}

func describeImage(b built) (report.Image, error) {
	r := report.Image{Popularity: report.Table{Source: b.table.Source, SHA256: b.table.SHA256}}
	var made interface {
		Digest() (v1.Hash, error)
		MediaType() (types.MediaType, error)
		Size() (int64, error)
	} = b.image
	if b.index != nil {
		made = b.index
	}
	var err error
	if r.Digest, err = made.Digest(); err != nil {
		return r, err
	}
	if r.MediaType, err = made.MediaType(); err != nil {
		return r, err
	}
	if r.ManifestSize, err = made.Size(); err != nil {
		return r, err
	}
	for _, p := range b.platforms {
		platform, err := describePlatform(p)
		if err != nil {
			return r, err
		}
		r.Platforms = append(r.Platforms, platform)
	}
	return r, nil
}

func describePlatform(p builtPlatform) (report.Platform, error) {
	r := report.Platform{Platform: p.target.Platform.String()}
	var err error
	if r.Digest, err = p.image.Digest(); err != nil {
		return r, err
	}
	if r.Config, err = p.image.ConfigName(); err != nil {
		return r, err
	}
	for _, layer := range p.layers {
		l, err := describeLayer(layer)
		if err != nil {
			return r, err
		}
		r.Size += l.Size
		for _, size := range l.NarSizes {
			r.UnpackedSize += size
		}
		r.Layers = append(r.Layers, l)
	}
	return r, nil
}

func describeLayer(layer *layers.Layer) (report.Layer, error) {
	record, err := layer.Record()
	r := report.Layer{
		Digest: record.Digest, DiffID: record.DiffID, Size: record.Size, Key: layer.Key(),
		Paths: []nix.StorePath{}, NarSizes: []int64{},
	}
	for _, info := range layer.Group() {
		r.Paths = append(r.Paths, info.Path)
		r.NarSizes = append(r.NarSizes, info.NarSize)
	}
	return r, err
}
