package blobstore

import (
	"context"
	"errors"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Put stores content under its digest, which must be want unless want is zero. It is read once, to its end, into a file; only when its
// Measured is known and right does the name come to exist. What is there already stays as it is. Errors of content's own come back
// wrapped, [*MismatchError] if it is not what was wanted, [*StorageError] if the bucket or the disk did not take it.
func (d *Depot) Put(ctx context.Context, want v1.Hash, mediaType string, content io.Reader) (Stored, error) {
	if want != (v1.Hash{}) {
		if _, err := blobKey(want); err != nil {
			return Stored{}, err
		}
	}
	s, err := d.gather(ctx, content)
	if err != nil {
		return Stored{}, err
	}
	defer s.drop()
	if want != (v1.Hash{}) && s.digest != want {
		return Stored{}, &MismatchError{Want: want, Got: s.digest}
	}
	stored := Stored{s.digest, mediaType, s.size}
	key, err := blobKey(s.digest)
	if err != nil {
		return Stored{}, err
	}
	err = d.place(ctx, key, mediaType, s.File, false)
	switch {
	case err == nil:
		d.Wrote(s.size)
	case errors.Is(err, errTaken):
		err = d.mend(ctx, key, mediaType, s)
	}
	return stored, fault(ctx, "writing", key, err)
}

// mend replaces what has a digest's name, and cannot have the digest: a disk that lost power, or a hand in the bucket.
func (d *Depot) mend(ctx context.Context, key, mediaType string, s *spool) error {
	there, err := d.bucket.Attributes(ctx, key)
	if err != nil || there.Size == s.size {
		return err
	}
	d.Log.Warn("a blob in the depot was damaged, and is replaced", "key", key, "bytes", there.Size, "want", s.size)
	return d.place(ctx, key, mediaType, s.File, true)
}
