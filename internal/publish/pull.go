package publish

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

// Pull reads what a reference stands for: the manifest of an index, or the manifest and the configuration of an image. Both are checked
// against their digests. The images of an index are read by Pull with their digests. Failures are *RegistryError.
func (r *Registry) Pull(ctx context.Context, ref name.Reference) (Artifact, error) {
	defer r.wire.closeIdle()
	const op = "reading an image"
	repo := r.reachable(ref.Context())
	if digest, ok := ref.(name.Digest); ok {
		ref = repo.Digest(digest.DigestStr())
	} else {
		ref = repo.Tag(ref.Identifier())
	}
	artifact := Artifact{Name: ref.Name()}
	_, err := r.retry(ctx, op, ref.Name(), worthAnotherAtOnce, func(ctx context.Context) (err error) {
		artifact.Image, artifact.Index, err = r.get(ctx, ref)
		return err
	})
	return artifact, r.readFault(ctx, op, repo, err)
}

// get returns an image whose configuration is read, or an index.
func (r *Registry) get(ctx context.Context, ref name.Reference) (v1.Image, v1.ImageIndex, error) {
	desc, err := remote.Get(ref,
		remote.WithContext(ctx),
		remote.WithTransport(r.wire),
		remote.WithAuthFromKeychain(r.keychain),
		remote.WithUserAgent(r.agent),
		remote.WithRetryPredicate(func(error) bool { return false }),
		remote.WithRetryStatusCodes())
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

func (r *Registry) readFault(ctx context.Context, op string, repo name.Repository, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, context.Cause(ctx))
	}
	err = r.fault(ctx, op, repo, err)
	if e, ok := errors.AsType[*RegistryError](err); ok {
		e.Reading = true
	}
	return err
}
