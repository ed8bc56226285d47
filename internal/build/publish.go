package build

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/report"
)

// Delivery is a destination, and what the images are called there.
type Delivery struct {
	publish.Destination
	// Kind and Path are what reports say of it.
	Kind report.Kind
	Path string // of a file
	// Names are those of each image, in the order of the targets; nil if images have no names there.
	Names []Names
	// Pull reads an image back; nil if that cannot be done.
	Pull func(context.Context, name.Reference) (publish.Artifact, error)
}

// Names are what one image is called at one destination.
type Names struct {
	Tags         []name.Tag
	Repositories []name.Repository // by digest only
}

// of returns the names of the target at an index.
func (d Delivery) of(i int) Names {
	if i < len(d.Names) {
		return d.Names[i]
	}
	return Names{}
}

// repositories lists each repository once.
func (n Names) repositories() []name.Repository {
	var all []name.Repository
	for _, tag := range n.Tags {
		all = append(all, tag.Context())
	}
	return distinctRepositories(append(all, n.Repositories...))
}

func distinctRepositories(all []name.Repository) []name.Repository {
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(r name.Repository) bool {
		twice := seen[r.Name()]
		seen[r.Name()] = true
		return twice
	})
}

// artifacts pairs targets with what was built for them. Without made they have
// names only, for Check.
func (d Delivery) artifacts(targets []Target, made []built) []publish.Artifact {
	artifacts := make([]publish.Artifact, len(targets))
	for i, target := range targets {
		names := d.of(i)
		artifacts[i] = publish.Artifact{Name: target.Name, Tags: names.Tags, Repositories: names.Repositories}
		if made != nil {
			artifacts[i].Image, artifacts[i].Index = made[i].image, made[i].index
		}
	}
	return artifacts
}

// checkAll checks, before anything is built, that each destination can be written.
func checkAll(ctx context.Context, dests []Delivery, targets []Target) error {
	for _, d := range dests {
		if err := d.Check(ctx, d.artifacts(targets, nil)); err != nil {
			return err
		}
	}
	return nil
}

// publish uploads or writes the images to all destinations, one after the other;
// without any it computes digests only. It is an error if a destination returns
// another digest than that of the image.
func (j *job) publish(ctx context.Context, made []built) error {
	layers := distinctLayers(made)
	title := "publishing"
	if len(j.dests) == 0 {
		title = "packing"
	}
	stage := j.begin(title)
	stage.Total(len(layers)*max(len(j.dests), 1), 0)
	j.stats.start(stage, j.Log)
	if len(j.dests) == 0 {
		if err := measure(ctx, layers, j.stats); err != nil {
			return err
		}
	}
	for _, d := range j.dests {
		artifacts := d.artifacts(j.targets, made)
		for i := range artifacts {
			artifacts[i].Inspector = j.inspections
		}
		digests, err := d.Publish(ctx, artifacts)
		if isStale(err) {
			stage.Done("starts again")
			return err
		}
		if err != nil {
			j.stats.warnOfDelivered()
			return err
		}
		if err := sameDigests(artifacts, digests); err != nil {
			return err
		}
		j.stats.deliver(d)
	}
	stage.Done(j.stats.summary())
	j.tellImages(j.targets, j.dests, made, j.stats)
	return nil
}

// sameDigests compares what a destination returned with what was built.
func sameDigests(artifacts []publish.Artifact, digests []v1.Hash) error {
	for i, a := range artifacts {
		want, err := digestOf(a)
		if err != nil {
			return fmt.Errorf("image %s: %w", a.Name, err)
		}
		if digests[i] != want {
			return fmt.Errorf("image %s: published as %s, but it is %s", a.Name, digests[i], want)
		}
	}
	return nil
}

// digestOf returns the digest of the index, or of the only image.
func digestOf(a publish.Artifact) (v1.Hash, error) {
	if a.Index != nil {
		return a.Index.Digest()
	}
	return a.Image.Digest()
}
