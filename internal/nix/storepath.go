// Package nix has the nouns of Nix: store paths, what Nix knows of them, closures
// as graphs, NAR hashes, and the systems that are OCI platforms, in the one table
// of architectures.
//
// It stands apart because plans, layers, images and caches speak of them without
// a Nix: it starts no process and speaks no HTTP. A value that was parsed is
// well-formed; whether the path exists is another question.
package nix

import (
	"fmt"
	"strings"
)

// StoreDir is where every store path lives. Other store directories exist
// (NIX_STORE_DIR), but their binaries share no path with public binary caches.
const StoreDir = "/nix/store"

// HashLen is the length of the base-32 digest that begins a store path's name.
const HashLen = 32

// StorePath is the absolute path of one store object: /nix/store/<hash>-<name>.
// Values made by [ParseStorePath] are well formed; the zero value is not.
type StorePath string

// ParseStorePath checks that s names a store object itself, not a file in one.
// The grammar is that of Nix's "Store Path" specification.
func ParseStorePath(s string) (StorePath, error) {
	base, ok := strings.CutPrefix(s, StoreDir+"/")
	if !ok {
		return "", fmt.Errorf("%q is not a store path: it is not in %s", s, StoreDir)
	}
	if len(base) < HashLen+2 || base[HashLen] != '-' {
		return "", fmt.Errorf("%q is not a store path: want %s/<%d characters>-<name>", s, StoreDir, HashLen)
	}
	for i := range HashLen {
		if !isBase32(base[i]) {
			return "", fmt.Errorf("%q is not a store path: %q is not a digit of Nix's base 32", s, base[i])
		}
	}
	for i := HashLen + 1; i < len(base); i++ {
		if !isNameByte(base[i]) {
			return "", fmt.Errorf("%q is not a store path: %q may not stand in a name", s, base[i])
		}
	}
	return StorePath(s), nil
}

// Hash is the base-32 digest in the path, 32 characters.
func (p StorePath) Hash() string { return p.base()[:HashLen] }

// Name is what follows the digest: most often package and version.
func (p StorePath) Name() string { return p.base()[HashLen+1:] }

func (p StorePath) base() string { return string(p[len(StoreDir)+1:]) }

// isBase32 reports whether c is in Nix's alphabet: digits and lower-case
// letters without e, o, t, u.
func isBase32(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' && c != 'e' && c != 'o' && c != 't' && c != 'u'
}

func isNameByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("+-._?=", c) >= 0
}
