package cache

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// ScopePrefix begins the names of all entries. Its number is that of the format of names: entries of another format
// are never found, and hide none of ours. A history's own format is in its first line.
const ScopePrefix = "nixery1-"

// Identity is what one history is about. Jobs that differ in it never see each other's entries.
type Identity struct {
	Spec     string // which spec in the repository: its path, or whatever stays the same from run to run
	Image    string // the image's name in the spec
	Platform string // "linux/arm64"; "" for what concerns all platforms
}

// Scope is the scope of the identity's histories. scope is the user's own word to keep scopes apart, or "".
func (i Identity) Scope(scope string) Scope {
	h := sha256.New()
	for _, field := range []string{scope, i.Spec, i.Image, i.Platform} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(field))))
		h.Write([]byte(field))
	}
	return Scope(ScopePrefix + hex.EncodeToString(h.Sum(nil)[:20]))
}

// BlobScope is the scope of a blob. All its entries are equal: there is more than one only if the first is damaged, or was
// reserved and never finished.
func BlobScope(digest v1.Hash) Scope {
	return Scope(ScopePrefix + "blob-" + digest.Hex)
}
