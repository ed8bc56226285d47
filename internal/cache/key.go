package cache

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ErrUnmarked says that a history does not have the mark of the key: it was saved without a key, with another one, in another
// scope or repository, or it is forged.
var ErrUnmarked = errors.New("it does not have the mark of cache-key: it was saved without a key or with another one, or it is forged")

// minSecret is how many bytes a secret has at least.
const minSecret = 16

// Key marks the histories that are saved, and tells them from those that others have saved. The mark is an HMAC-SHA-256 of all
// of a history, so that no record, path or digest in it can be changed, and of its scope, so that the history of another image,
// platform, spec or scope is of no use. Keys of one secret differ between repositories. The zero Key marks nothing.
type Key struct{ derived []byte }

// NewKey makes a key of a secret of at least 16 bytes, without the blanks around it. repository is the one that the spec is
// in, "acme/toolbox", or empty. The error does not have the secret.
func NewKey(secret, repository string) (Key, error) {
	secret = strings.TrimSpace(secret)
	if len(secret) < minSecret {
		return Key{}, fmt.Errorf("the key has %d bytes: want %d or more, as of openssl rand -hex 32", len(secret), minSecret)
	}
	return Key{sum([]byte(secret), "nixery-action cache key 1", []byte(repository))}, nil
}

const markPrefix = "hmac-sha256:"

// IsZero reports whether there is no key.
func (k Key) IsZero() bool { return k.derived == nil }

// mark is what stands in the first line of a history with that body.
func (k Key) mark(scope Scope, body []byte) string {
	return markPrefix + hex.EncodeToString(sum(k.derived, "nixery-action ledger "+formatVersion, []byte(scope), body))
}

// made reports whether a mark is this key's, in a time that does not depend on how much of it is right.
func (k Key) made(mark string, scope Scope, body []byte) bool {
	return hmac.Equal([]byte(mark), []byte(k.mark(scope, body)))
}

// sum is an HMAC over fields, each with its length before it, for one purpose.
func sum(key []byte, purpose string, fields ...[]byte) []byte {
	mac := hmac.New(sha256.New, key)
	for _, field := range append([][]byte{[]byte(purpose)}, fields...) {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(field))))
		mac.Write(field)
	}
	return mac.Sum(nil)
}
