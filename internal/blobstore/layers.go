package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/org/nixery-action/internal/publish"
)

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

// upload reads a layer once. Its own faults stay visible: the pipeline begins again if a record lied.
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
