package layers

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"strconv"

	"github.com/org/nixery-action/internal/nix"
)

// Key is the SHA-256, in 64 hex digits, of all that fixes a layer's bytes. Equal
// keys have equal bytes, on every machine.
type Key string

// KeyOf returns the key of a group's layer.
func KeyOf(g Group, c Compression) Key { return c.key("store", g) }

// RootKeyOf returns the key of the root layer of packages, whose order does not matter.
func RootKeyOf(packages []nix.StorePath, closure nix.Closure, c Compression) Key {
	var names []string
	for _, p := range sortedByName(packages) {
		names = append(names, string(p))
	}
	return c.key("root", closure.Paths, names...)
}

// key returns the SHA-256 over format version, kind of layer, compressor and level,
// the sorted store paths with their NAR hashes, and whatever else fixes bytes;
// each field length-prefixed.
func (c Compression) key(kind string, infos []nix.PathInfo, more ...string) Key {
	h := sha256.New()
	fields(h, strconv.Itoa(FormatVersion), kind, string(c.Algorithm), strconv.Itoa(c.Level))
	for _, info := range infos {
		fields(h, string(info.Path), info.NarHash.String())
	}
	fields(h, more...)
	return Key(hex.EncodeToString(h.Sum(nil)))
}

// fields hashes each string after its length in 8 bytes, big-endian, so that no two
// lists of strings are the same bytes: ["ab" "c"] ▶ 0…2 ab 0…1 c.
func fields(h hash.Hash, all ...string) {
	for _, field := range all {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(field))))
		h.Write([]byte(field))
	}
}
