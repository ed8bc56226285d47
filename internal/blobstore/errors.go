package blobstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"gocloud.dev/gcerrors"
)

// ErrNotFound says that the bucket answered, and has no such blob or tag.
var ErrNotFound = errors.New("not in the blobstore")

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

var hexForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// DigestError is a digest that is not of the form sha256:<64 hex>, and so is never asked for in a bucket.
type DigestError struct{ Digest v1.Hash }

func (e *DigestError) Error() string {
	return fmt.Sprintf("digest %.100q is not of the form sha256:<64 hex digits>", e.Digest.String())
}

// blobKey is where a blob lies. Nothing but lower-case hex of the right length gets into it.
func blobKey(digest v1.Hash) (string, error) {
	if digest.Algorithm != "sha256" || !hexForm.MatchString(digest.Hex) {
		return "", &DigestError{digest}
	}
	return "blobs/sha256/" + digest.Hex, nil
}

// tagKey is where a tag lies, whatever its name is made of, and however long it is.
func tagKey(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "tags/" + hex.EncodeToString(sum[:])
}
