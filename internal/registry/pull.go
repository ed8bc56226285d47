package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// maxConfig is twice what containerd reads of a configuration.
const maxConfig = 8 << 20

// Pull reads the manifest of an index, or the manifest and the configuration of an image: one of the results is nil. Both are
// checked against their digests. The images of an index are read by Pull with their digests.
func (c *Client) Pull(ctx context.Context, ref name.Reference) (image v1.Image, index v1.ImageIndex, err error) {
	defer c.CloseIdle()
	const op = "reading an image"
	repo := c.Reachable(ref.Context())
	if digest, ok := ref.(name.Digest); ok {
		ref = repo.Digest(digest.DigestStr())
	} else {
		ref = repo.Tag(ref.Identifier())
	}
	_, err = c.Retry(ctx, op, ref.Name(), RetryableFirst, func(ctx context.Context) (err error) {
		image, index, err = c.get(ctx, ref)
		return err
	})
	return image, index, c.readFault(ctx, op, repo, err)
}

// get returns an image whose configuration is read, or an index.
func (c *Client) get(ctx context.Context, ref name.Reference) (v1.Image, v1.ImageIndex, error) {
	desc, err := remote.Get(ref, append(c.Options(), remote.WithContext(ctx))...)
	if err != nil {
		return nil, nil, err
	}
	if desc.MediaType.IsIndex() {
		index, err := desc.ImageIndex()
		return nil, index, err
	}
	image, err := desc.Image()
	if err != nil {
		return nil, nil, err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return nil, nil, err
	}
	if manifest.Config.Size > maxConfig {
		return nil, nil, fmt.Errorf("the configuration has %d bytes, over %d", manifest.Config.Size, maxConfig)
	}
	_, err = image.RawConfigFile()
	return image, nil, err
}

func (c *Client) readFault(ctx context.Context, op string, repo name.Repository, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, context.Cause(ctx))
	}
	err = c.Fault(ctx, op, repo, err)
	if e, ok := errors.AsType[*Error](err); ok {
		e.Reading = true
	}
	return err
}
