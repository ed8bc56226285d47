package crawl

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nix-community/go-nix/pkg/narinfo"
	"github.com/nix-community/go-nix/pkg/narinfo/signature"

	"github.com/org/nixery-action/internal/fetch"
	"github.com/org/nixery-action/internal/nix"
)

// maxNarinfo is in bytes. The longest have a few hundred references.
const maxNarinfo = 1 << 20

// errUnsigned is a narinfo that none of the given keys has signed.
var errUnsigned = errors.New("none of the trusted public keys has signed it")

// wanted are the keys of a narinfo that are needed here. Others are removed before
// the parser sees them, as it refuses unknown keys, which Nix ignores.
var wanted = []string{"StorePath", "URL", "NarHash", "NarSize", "References", "Sig"}

// parseNarinfo returns the references of path, if text is a narinfo of it that
// one of keys has signed, or if there are no keys.
func parseNarinfo(path nix.StorePath, text []byte, keys []signature.PublicKey) ([]nix.StorePath, error) {
	// Nix refuses a last line without its end, too (src/libstore/nar-info.cc).
	if !bytes.HasSuffix(text, []byte("\n")) {
		return nil, fetch.ErrCut
	}
	parsed, err := narinfo.Parse(strings.NewReader(needed(text)))
	if err != nil {
		return nil, err
	}
	switch {
	case parsed.StorePath != string(path):
		return nil, fmt.Errorf("it is of %q", parsed.StorePath)
	case parsed.NarHash == nil || parsed.NarSize == 0:
		return nil, errors.New("it has no NarHash or NarSize")
	case !bytes.Contains(text, []byte("\nReferences:")):
		return nil, errors.New("it has no References")
	}
	references, err := parseReferences(parsed.References)
	if err != nil {
		return nil, err
	}
	if len(keys) > 0 && !signed(parsed, keys) {
		return nil, errUnsigned
	}
	return references, nil
}

func needed(text []byte) string {
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		key, _, _ := strings.Cut(line, ":")
		if slices.Contains(wanted, key) {
			b.WriteString(line)
		}
	}
	return b.String()
}

func parseReferences(names []string) ([]nix.StorePath, error) {
	references := make([]nix.StorePath, 0, len(names))
	for _, name := range names {
		ref, err := nix.ParseStorePath(nix.StoreDir + "/" + name)
		if err != nil {
			return nil, fmt.Errorf("references: %w", err)
		}
		references = append(references, ref)
	}
	return references, nil
}

// signed verifies a signature over what Nix signs: the path, its NAR's hash and size, and its
// references in order.
func signed(parsed *narinfo.NarInfo, keys []signature.PublicKey) bool {
	slices.Sort(parsed.References)
	fingerprint := parsed.Fingerprint()
	for _, sig := range parsed.Signatures {
		for _, key := range keys {
			if key.Verify(fingerprint, sig) {
				return true
			}
		}
	}
	return false
}

// ParseKeys reads public keys as in Nix's setting trusted-public-keys:
// NAME:BASE64.
func ParseKeys(texts []string) ([]signature.PublicKey, error) {
	var keys []signature.PublicKey
	for _, text := range texts {
		key, err := signature.ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("%q is not a public key as in Nix's trusted-public-keys: %w", text, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}
