package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/explain"
	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/report"
)

// The images that tags stood for are read for the report only: in so much time, and so many of an index.
const (
	longestLook  = 30 * time.Second
	mostReplaced = 16
)

// Moved takes what a tag stood for before it was set.
func (m *Meter) Moved(tag name.Tag, from v1.Hash) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.before == nil {
		m.before = map[name.Tag]v1.Hash{}
	}
	m.before[tag] = from
}

func (m *Meter) stood(tag name.Tag) (v1.Hash, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, ok := m.before[tag]
	return from, ok
}

// changes compares each image with the one that its first tag stood for. What
// cannot be read is left out: everything is published by then. An image that
// is the same costs no request.
func (j *job) changes(ctx context.Context, made []built, r *Report) {
	ctx, cancel := context.WithTimeout(ctx, longestLook)
	defer cancel()
	for i, order := range j.orders {
		if len(order.Tags) == 0 {
			continue
		}
		if old, ok := j.meter.stood(order.Tags[0]); ok {
			r.Run.Images[i].Changes = j.compare(ctx, order.Tags[0], old, r.Images[i].Digest, made[i])
		}
	}
}

func (j *job) compare(ctx context.Context, tag name.Tag, old, now v1.Hash, made built) *report.Changes {
	c := &report.Changes{Since: tag.Name(), What: report.First}
	if old == (v1.Hash{}) {
		return c
	}
	c.Old, c.What = old.String(), report.Same
	if old == now {
		return c
	}
	before, err := j.published(ctx, tag.Digest(old.String()))
	if err != nil {
		j.Log.Debug("the image that was replaced cannot be read", "tag", tag.Name(), "cause", err)
		c.What = report.Unread
		return c
	}
	after, err := made.contents()
	if err != nil {
		j.Log.Debug("the new image cannot be compared", "tag", tag.Name(), "cause", err)
		c.What = report.Unread
		return c
	}
	c.What, c.Platforms = report.Changed, explain.CompareAll(before, after)
	return c
}

// published reads an image by the registry that it was replaced in.
func (j *job) published(ctx context.Context, ref name.Reference) ([]explain.Contents, error) {
	for _, d := range j.dests {
		if registry, ok := d.(*publish.Registry); ok {
			return Published(ctx, registry, ref)
		}
	}
	return nil, errors.New("no registry was pushed to")
}

func (b built) contents() ([]explain.Contents, error) {
	var all []explain.Contents
	for _, p := range b.platforms {
		contents, err := contentsOf(p.image)
		if err != nil {
			return nil, err
		}
		all = append(all, contents)
	}
	return all, nil
}

// Published reads what a registry has under a reference, but no layer: one
// contents for each platform. Docker's attestations, which are among the
// manifests of an index for a platform called unknown, are passed over.
func Published(ctx context.Context, registry *publish.Registry, ref name.Reference) ([]explain.Contents, error) {
	artifact, err := registry.Pull(ctx, ref)
	if err != nil {
		return nil, err
	}
	if artifact.Index == nil {
		contents, err := contentsOf(artifact.Image)
		return []explain.Contents{contents}, err
	}
	index, err := artifact.Index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("reading index %s: %w", ref, err)
	}
	var all []explain.Contents
	for _, d := range index.Manifests {
		if !d.MediaType.IsImage() || d.Platform != nil && d.Platform.OS == "unknown" {
			continue
		}
		if len(all) == mostReplaced {
			return nil, fmt.Errorf("index %s has more than %d images", ref, mostReplaced)
		}
		child, err := Published(ctx, registry, ref.Context().Digest(d.Digest.String()))
		if err != nil {
			return nil, err
		}
		all = append(all, child...)
	}
	return all, nil
}

func contentsOf(img v1.Image) (explain.Contents, error) {
	manifest, err := img.Manifest()
	if err != nil {
		return explain.Contents{}, fmt.Errorf("reading manifest: %w", err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return explain.Contents{}, fmt.Errorf("reading configuration: %w", err)
	}
	return explain.ImageContents(manifest, config)
}
