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

// longestLook is how long images that tags stood for are read: it is for the report only.
const longestLook = 30 * time.Second

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

// Published reads what a registry has under a reference, but no layer: contents
// for each platform.
func Published(ctx context.Context, registry *publish.Registry, ref name.Reference) ([]explain.Contents, error) {
	artifact, err := registry.Pull(ctx, ref)
	if err != nil {
		return nil, err
	}
	if artifact.Index == nil {
		contents, err := contentsOf(artifact.Image)
		if err != nil {
			return nil, fmt.Errorf("reading image %s: %w", ref, err)
		}
		return []explain.Contents{contents}, nil
	}
	index, err := artifact.Index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("reading index %s: %w", ref, err)
	}
	return explain.EachImage(index, func(d v1.Descriptor) ([]explain.Contents, error) {
		return Published(ctx, registry, ref.Context().Digest(d.Digest.String()))
	})
}

func contentsOf(img v1.Image) (explain.Contents, error) {
	manifest, err := img.Manifest()
	if err != nil {
		return explain.Contents{}, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return explain.Contents{}, err
	}
	return explain.ImageContents(manifest, config)
}
