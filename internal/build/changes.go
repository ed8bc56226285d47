package build

import (
	"context"
	"fmt"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/explain"
	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/report"
)

// maxCompareTime bounds the reading of replaced images, which only the report needs.
const maxCompareTime = 30 * time.Second

// changes adds to r how each image differs from the one that its first tag named
// before. An image that cannot be read is no error, as everything is published by
// then. An equal digest costs no request.
func (j *job) changes(ctx context.Context, made []built, r *Report) {
	ctx, cancel := context.WithTimeout(ctx, maxCompareTime)
	defer cancel()
	for _, d := range j.dests {
		for i := range j.targets {
			tags := d.of(i).Tags
			if d.Pull == nil || len(tags) == 0 {
				continue
			}
			if t, ok := j.stats.tagging(tags[0]); ok && t.Asked {
				r.Run.Images[i].Changes = j.compare(ctx, d, t, made[i])
			}
		}
	}
}

// compare reads the image that a tag named before the push, and compares it with
// the one that was built. What cannot be read gives [report.Unread].
func (j *job) compare(ctx context.Context, d Delivery, t publish.Tagging, made built) *report.Changes {
	tag, old, now := t.Tag, t.From, t.To
	c := &report.Changes{Previous: tag.Name(), Change: report.First}
	if old == (v1.Hash{}) {
		return c
	}
	c.Old, c.Change = old.String(), report.Same
	if old == now {
		return c
	}
	before, err := Published(ctx, d.Pull, tag.Digest(old.String()))
	if err != nil {
		j.Log.Debug("the image that was replaced cannot be read", "tag", tag.Name(), "cause", err)
		c.Change = report.Unread
		return c
	}
	after, err := made.contents()
	if err != nil {
		j.Log.Debug("the new image cannot be compared", "tag", tag.Name(), "cause", err)
		c.Change = report.Unread
		return c
	}
	c.Change, c.Platforms = report.Changed, explain.CompareAll(before, after)
	return c
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

// Published reads the manifests and configurations, not the layers, that a
// registry has under a reference, and returns the contents of each platform.
func Published(ctx context.Context, pull func(context.Context, name.Reference) (publish.Artifact, error), ref name.Reference) ([]explain.Contents, error) {
	artifact, err := pull(ctx, ref)
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
		return Published(ctx, pull, ref.Context().Digest(d.Digest.String()))
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
