package blobstore

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/publish"
)

// DestinationOptions are the settings of a Destination; the zero value is silent.
type DestinationOptions struct {
	// Repository is named in reports.
	Repository name.Repository
	// Jobs is how many layers are made or looked for at a time; 0 means 8.
	Jobs int
	// Report is called once for each layer, when it is there; Sent with the bytes of layers that are made. Calls may overlap.
	Report func(publish.Upload)
	Sent   func(n int64)
}

// Destination puts artifacts into the depot: layers, then configs and manifests, then indexes. Tags are not its own.
func (d *Depot) Destination(o DestinationOptions) publish.Destination {
	if o.Jobs <= 0 {
		o.Jobs = 8
	}
	if o.Report == nil {
		o.Report = func(publish.Upload) {}
	}
	if o.Sent == nil {
		o.Sent = func(int64) {}
	}
	return &destination{d, o}
}

type destination struct {
	depot *Depot
	DestinationOptions
}

// Check implements [publish.Destination].
func (d *destination) Check(ctx context.Context, _ []publish.Artifact) error {
	return d.depot.Ready(ctx)
}

// CheckFirst implements [publish.Destination].
func (d *destination) CheckFirst() bool { return true }

// Publish implements [publish.Destination]. What the depot has is not made again; an unread layer is read once.
func (d *destination) Publish(ctx context.Context, artifacts []publish.Artifact) ([]v1.Hash, error) {
	digests, err := d.publish(ctx, artifacts)
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("publishing: %w", context.Cause(ctx))
	}
	return digests, err
}

func (d *destination) publish(ctx context.Context, artifacts []publish.Artifact) ([]v1.Hash, error) {
	manifests, own, err := manifestsOf(artifacts)
	if err != nil {
		return nil, err
	}
	if err := d.layers(ctx, manifests); err != nil {
		return nil, err
	}
	for _, m := range manifests {
		if err := d.manifest(ctx, m); err != nil {
			return nil, err
		}
	}
	if err := d.attached(ctx, artifacts); err != nil {
		return nil, err
	}
	digests := make([]v1.Hash, len(artifacts))
	for i, m := range own {
		if digests[i], err = m.Digest(); err != nil {
			return nil, fmt.Errorf("image %q: reading digest: %w", artifacts[i].Name, err)
		}
	}
	return digests, nil
}

// attached stores the manifests that are attached to the artifacts, whose layers are in no report.
func (d *destination) attached(ctx context.Context, artifacts []publish.Artifact) error {
	var all []publish.Manifest
	for _, a := range artifacts {
		images, err := a.Attached()
		if err != nil {
			return err
		}
		for _, image := range images {
			all = append(all, image)
		}
	}
	silent := *d
	silent.Report = func(publish.Upload) {}
	if err := silent.layers(ctx, all); err != nil {
		return err
	}
	for _, m := range all {
		if err := silent.manifest(ctx, m); err != nil {
			return err
		}
	}
	return nil
}
