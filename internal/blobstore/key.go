package blobstore

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

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
