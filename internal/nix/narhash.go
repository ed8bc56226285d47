package nix

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const (
	sha256Len    = 32 // bytes
	sha256Base32 = 52 // digits
	base32Digits = "0123456789abcdfghijklmnpqrsvwxyz"
)

// ParseNarHash reads a SHA-256 in any form that Nix prints: "sha256:" with 64
// hex or 52 base-32 digits, or "sha256-" with base 64 (SRI).
func ParseNarHash(s string) (v1.Hash, error) {
	digest, err := decodeSHA256(s)
	if err != nil || len(digest) != sha256Len {
		return v1.Hash{}, fmt.Errorf("%q is not a SHA-256 as Nix writes it", s)
	}
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(digest)}, nil
}

func decodeSHA256(s string) ([]byte, error) {
	if sri, ok := strings.CutPrefix(s, "sha256-"); ok {
		return base64.StdEncoding.Strict().DecodeString(sri)
	}
	digits, ok := strings.CutPrefix(s, "sha256:")
	switch {
	case ok && len(digits) == 2*sha256Len:
		return hex.DecodeString(digits)
	case ok && len(digits) == sha256Base32:
		return decodeBase32(digits)
	}
	return nil, fmt.Errorf("unknown form")
}

// decodeBase32 reads Nix's base 32: five bits a digit, the lowest ones last. See
// "nix32" in Nix's manual.
func decodeBase32(digits string) ([]byte, error) {
	out := make([]byte, sha256Len)
	for n := range len(digits) {
		value := strings.IndexByte(base32Digits, digits[len(digits)-1-n])
		if value < 0 {
			return nil, fmt.Errorf("%q is no digit", digits[len(digits)-1-n])
		}
		at, shift := n*5/8, n*5%8
		out[at] |= byte(value << shift)
		over := value >> (8 - shift)
		if at+1 < len(out) {
			out[at+1] |= byte(over)
		} else if over != 0 {
			return nil, fmt.Errorf("more than %d bytes", sha256Len)
		}
	}
	return out, nil
}
