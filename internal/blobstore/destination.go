package blobstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

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

// Destination puts artifacts into the store: layers, then configs and manifests, then indexes. Tags are not its own.
func (d *Store) Destination(o DestinationOptions) publish.Destination {
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
	store *Store
	DestinationOptions
}

// Check implements [publish.Destination].
func (d *destination) Check(ctx context.Context, _ []publish.Artifact) error {
	return d.store.Ready(ctx)
}

// CheckFirst implements [publish.Destination].
func (d *destination) CheckFirst() bool { return true }

// Publish implements [publish.Destination]. It stores what is missing in an order that never leaves a manifest without its parts:
//
//	layers, each once, in parallel ▶ config ▶ manifest of each image ▶ indexes, after their images
//
// Layers that exist are not read; others are read once. The result has the digest of each artifact, in the order of artifacts.
func (d *destination) Publish(ctx context.Context, artifacts []publish.Artifact) (digests []v1.Hash, err error) {
	defer func() {
		if err != nil && ctx.Err() != nil { // whatever it was in the middle of
			digests, err = nil, fmt.Errorf("publishing: %w", context.Cause(ctx))
		}
	}()
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
	for i, m := range own {
		digest, err := m.Digest()
		if err != nil {
			return nil, fmt.Errorf("image %q: reading digest: %w", artifacts[i].Name, err)
		}
		digests = append(digests, digest)
	}
	return digests, nil
}

// manifestsOf returns the manifests of all artifacts, children before their parents, and which is the artifact's own.
func manifestsOf(artifacts []publish.Artifact) (all, own []publish.Manifest, err error) {
	for _, a := range artifacts {
		manifests, err := a.Manifests()
		if err != nil {
			return nil, nil, err
		}
		all, own = append(all, manifests...), append(own, manifests[len(manifests)-1])
	}
	return all, own, nil
}

// manifest stores a manifest, after its config if it is an image's.
func (d *destination) manifest(ctx context.Context, m publish.Manifest) error {
	if image, ok := m.(v1.Image); ok {
		parsed, err := image.Manifest()
		if err != nil {
			return fmt.Errorf("reading a manifest: %w", err)
		}
		config, err := image.RawConfigFile()
		if err != nil {
			return fmt.Errorf("reading a config: %w", err)
		}
		if err := d.raw(ctx, parsed.Config.Digest, parsed.Config.MediaType, config); err != nil {
			return err
		}
	}
	digest, errDigest := m.Digest()
	mediaType, errType := m.MediaType()
	raw, errRaw := m.RawManifest()
	if err := errors.Join(errDigest, errType, errRaw); err != nil {
		return fmt.Errorf("reading a manifest: %w", err)
	}
	return d.raw(ctx, digest, mediaType, raw)
}

// raw stores bytes that must have this digest.
func (d *destination) raw(ctx context.Context, digest v1.Hash, mediaType types.MediaType, raw []byte) error {
	_, err := d.store.Put(ctx, digest, string(mediaType), bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("storing %s: %w", mediaType, err)
	}
	return nil
}

// layers brings each layer here once, however many images have it.
func (d *destination) layers(ctx context.Context, manifests []publish.Manifest) error {
	all, err := distinct(manifests)
	if err != nil {
		return err
	}
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.SetLimit(d.Jobs)
	for _, layer := range all {
		tasks.Go(func() error { return d.layer(ctx, layer) })
	}
	return tasks.Wait()
}

// distinct lists the layers of all images. It is done before any is read: a layer's key is another one from then on.
func distinct(manifests []publish.Manifest) (all []v1.Layer, err error) {
	seen := map[any]bool{}
	for _, m := range manifests {
		image, ok := m.(v1.Image)
		if !ok {
			continue
		}
		layers, err := image.Layers()
		if err != nil {
			return nil, fmt.Errorf("reading layers: %w", err)
		}
		for _, layer := range layers {
			if key := layerKey(layer); !seen[key] {
				seen[key] = true
				all = append(all, layer)
			}
		}
	}
	return all, nil
}

// layerKey is a layer's digest if it is known, else the layer.
func layerKey(layer v1.Layer) any {
	if digest, err := layer.Digest(); err == nil {
		return digest
	}
	return layer
}

func (d *destination) layer(ctx context.Context, layer v1.Layer) error {
	how := publish.Existing
	there, err := d.has(ctx, layer)
	if err == nil && !there {
		how, err = publish.Uploaded, d.upload(ctx, layer)
	}
	if err != nil {
		return err
	}
	digest, errDigest := layer.Digest()
	size, errSize := layer.Size()
	if err := errors.Join(errDigest, errSize); err != nil {
		return fmt.Errorf("measuring a layer that was stored: %w", err)
	}
	d.Report(publish.Upload{Repository: d.Repository, Digest: digest, Size: size, How: how})
	return nil
}

// has is false for an unread layer, and for one that is there but not whole.
func (d *destination) has(ctx context.Context, layer v1.Layer) (bool, error) {
	digest, unread := layer.Digest()
	if unread != nil {
		return false, nil
	}
	key, err := blobKey(digest)
	if err != nil {
		return false, err
	}
	size, err := layer.Size()
	if err != nil {
		return false, fmt.Errorf("reading the size of layer %s: %w", digest, err)
	}
	there, err := d.store.bucket.Attributes(ctx, key)
	err = storageError(ctx, "looking for", key, err)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && there.Size == size, err
}

// upload reads a layer once, to its end, and stores it. An error of the layer's own stays matchable: package build restarts a run whose
// cache entry was stale, see its documentation.
func (d *destination) upload(ctx context.Context, layer v1.Layer) error {
	want, _ := layer.Digest() // zero for an unread layer
	mediaType, err := layer.MediaType()
	if err != nil {
		return fmt.Errorf("reading a layer's media type: %w", err)
	}
	blob, err := layer.Compressed()
	if err != nil {
		return fmt.Errorf("making a layer: %w", err)
	}
	stored, err := d.store.Put(ctx, want, string(mediaType), &counted{blob, d.Sent})
	if err := errors.Join(err, blob.Close()); err != nil {
		return fmt.Errorf("storing a layer: %w", err)
	}
	if got, err := layer.Digest(); err != nil || got != stored.Digest {
		return fmt.Errorf("a layer says that it is %s (%v), and was %s when it was read", got, err, stored.Digest)
	}
	return nil
}

type counted struct {
	io.Reader
	sent func(int64)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.sent(int64(n))
	return n, err
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
