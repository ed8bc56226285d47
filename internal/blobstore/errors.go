package blobstore

import (
	"context"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"gocloud.dev/gcerrors"
)

// ErrNotFound says that the bucket answered, and has no such blob or tag.
var ErrNotFound = errors.New("not in the depot")

// StorageError is a bucket that did not do as it was asked: it is out of reach, full, not allowed, or what it gave is damaged.
type StorageError struct {
	Op  string // a gerund: "reading"
	Key string // in the bucket
	Err error
}

func (e *StorageError) Error() string { return fmt.Sprintf("storage: %s %s: %v", e.Op, e.Key, e.Err) }

// Unwrap returns the cause.
func (e *StorageError) Unwrap() error { return e.Err }

// MismatchError is content that is not what was promised. Nothing was stored.
type MismatchError struct{ Want, Got v1.Hash }

func (e *MismatchError) Error() string {
	return fmt.Sprintf("the content is %s, and %s was promised", e.Got, e.Want)
}

// errTaken says that a key exists already.
var errTaken = errors.New("the key is taken")

// storageError tells apart what can be the matter with a bucket. An ended context is not its fault.
func storageError(ctx context.Context, op, key string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case gcerrors.Code(err) == gcerrors.NotFound:
		return fmt.Errorf("%s: %w", key, ErrNotFound)
	}
	return &StorageError{Op: op, Key: key, Err: err}
}
