package blobstore

import (
	"context"
	"errors"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Put stores content under its digest, which must be want unless want is zero. It is read once, to its end, into a file; only when its
// digest is known and right does the name come to exist. What is there already stays as it is. Errors of content's own come back
// wrapped, [*MismatchError] if it is not what was wanted, [*StorageError] if the bucket or the disk did not take it.
func (d *Store) Put(ctx context.Context, want v1.Hash, mediaType string, content io.Reader) (Descriptor, error) {
	if want != (v1.Hash{}) {
		if _, err := blobKey(want); err != nil {
			return Descriptor{}, err
		}
	}
	s, err := d.writeTemp(ctx, content)
	if err != nil {
		return Descriptor{}, err
	}
	defer s.discard()
	if want != (v1.Hash{}) && s.digest != want {
		return Descriptor{}, &MismatchError{Want: want, Got: s.digest}
	}
	stored := Descriptor{s.digest, mediaType, s.size}
	key, err := blobKey(s.digest)
	if err != nil {
		return Descriptor{}, err
	}
	err = d.commit(ctx, key, mediaType, s.File, false)
	switch {
	case err == nil:
		d.Wrote(s.size)
	case errors.Is(err, errTaken):
		err = d.repair(ctx, key, mediaType, s)
	}
	return stored, storageError(ctx, "writing", key, err)
}

// repair replaces what has a digest's name, and cannot have the digest: a disk that lost power, or a hand in the bucket.
func (d *Store) repair(ctx context.Context, key, mediaType string, s *tempBlob) error {
	there, err := d.bucket.Attributes(ctx, key)
	if err != nil || there.Size == s.size {
		return err
	}
	d.Log.Warn("a blob in the depot was damaged, and is replaced", "key", key, "bytes", there.Size, "want", s.size)
	return d.commit(ctx, key, mediaType, s.File, true)
}
