package build

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/report"
)

// Report is what a run made and did.
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
