package cache

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// lanePrefix begins the names of all entries. Its number is that of the format of names: entries of another format
// are never found, and hide none of ours. A ledger's own format is in its first line.
const lanePrefix = "nixery1-"

// Identity is what one ledger is about. Jobs that differ in it never see each other's entries.
type Identity struct {
	Spec     string // which spec in the repository: its path, or whatever stays the same from run to run
	Image    string // the image's name in the spec
	Platform string // "linux/arm64"; "" for what concerns all platforms
}

// Lane is the lane of the identity's ledgers. scope is the user's own word to keep lanes apart, or "".
func (i Identity) Lane(scope string) Lane {
	h := sha256.New()
	for _, field := range []string{scope, i.Spec, i.Image, i.Platform} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(field))))
		h.Write([]byte(field))
	}
	return Lane(lanePrefix + hex.EncodeToString(h.Sum(nil)[:20]))
}

// blobLane is the lane of a blob. All its entries are equal: there is more than one only if the first is damaged, or was
// reserved and never finished.
func blobLane(digest v1.Hash) Lane {
	return Lane(lanePrefix + "blob-" + digest.Hex)
}
