package nixbuild

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// maxClosureJSON is far more than the million store paths of all of nixpkgs.
const maxClosureJSON = 1 << 30

// ReadClosure reads what "nix path-info --json --recursive" prints: the array of
// Nix up to 2.18, the object of newer ones, and their format 2. Its roots are the
// paths that nothing else refers to. What is gzipped is unzipped first.
//
// Lists without NAR hashes are read too: NarHash is then the zero value, and
// such a closure can be planned but not packed.
func ReadClosure(r io.Reader) (Closure, error) {
	plain, err := unzipped(r)
	if err != nil {
		return Closure{}, fmt.Errorf("reading a closure: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(plain, maxClosureJSON+1))
	if err != nil {
		return Closure{}, fmt.Errorf("reading a closure: %w", err)
	}
	if len(text) > maxClosureJSON {
		return Closure{}, fmt.Errorf("reading a closure: it has more than %d MiB", maxClosureJSON>>20)
	}
	infos, err := decodePathInfos(bytes.TrimSpace(text))
	if err != nil {
		return Closure{}, fmt.Errorf("reading a closure: %w", err)
	}
	closure, err := NewClosure(unreferenced(infos), infos)
	if err == nil && len(closure.Paths) != len(infos) {
		err = errors.New("some of its paths refer to each other in a circle")
	}
	if err != nil {
		return Closure{}, fmt.Errorf("reading a closure: %w", err)
	}
	return closure, nil
}

// unzipped knows gzip by its first bytes (RFC 1952 §2.3.1).
func unzipped(r io.Reader) (io.Reader, error) {
	br := bufio.NewReader(r)
	if magic, _ := br.Peek(2); string(magic) == "\x1f\x8b" {
		return gzip.NewReader(br)
	}
	return br, nil
}

// pathInfoJSON is what the formats have in common for one path.
type pathInfoJSON struct {
	Path       string          `json:"path"`
	NarHash    json.RawMessage `json:"narHash"`
	NarSize    int64           `json:"narSize"`
	References []string        `json:"references"`
	Valid      *bool           `json:"valid"` // false in the array of old versions
}

func decodePathInfos(text []byte) ([]PathInfo, error) {
	if bytes.HasPrefix(text, []byte("[")) {
		var list []*pathInfoJSON
		if err := json.Unmarshal(text, &list); err != nil {
			return nil, err
		}
		return collect(list)
	}
	list, err := decodeObject(text)
	if err != nil {
		return nil, err
	}
	return collect(list)
}

// decodeObject reads an object of path to info; format 2 has it under "info", in
// an envelope.
func decodeObject(text []byte) ([]*pathInfoJSON, error) {
	var envelope struct {
		Info     map[string]*pathInfoJSON `json:"info"`
		StoreDir string                   `json:"storeDir"`
	}
	if err := json.Unmarshal(text, &envelope); err != nil {
		return nil, fmt.Errorf("want what nix path-info --json --recursive prints: %w", err)
	}
	if envelope.StoreDir != "" && envelope.StoreDir != StoreDir {
		return nil, fmt.Errorf("it is of the store %s, not %s", envelope.StoreDir, StoreDir)
	}
	byPath := envelope.Info
	if byPath == nil {
		if err := json.Unmarshal(text, &byPath); err != nil {
			return nil, fmt.Errorf("want what nix path-info --json --recursive prints: %w", err)
		}
	}
	list := make([]*pathInfoJSON, 0, len(byPath))
	for path, info := range byPath {
		if info == nil {
			return nil, fmt.Errorf("%s is not in the store", path)
		}
		info.Path = path
		list = append(list, info)
	}
	return list, nil
}

func collect(list []*pathInfoJSON) ([]PathInfo, error) {
	if len(list) == 0 {
		return nil, errors.New("it has no paths")
	}
	infos := make([]PathInfo, 0, len(list))
	seen := make(map[StorePath]bool, len(list))
	for _, raw := range list {
		if raw == nil {
			return nil, errors.New("one of its paths is null")
		}
		info, err := raw.decode()
		if err != nil {
			return nil, err
		}
		if seen[info.Path] {
			return nil, fmt.Errorf("%s is in it twice", info.Path)
		}
		seen[info.Path] = true
		infos = append(infos, info)
	}
	return infos, nil
}

func (raw *pathInfoJSON) decode() (PathInfo, error) {
	path, err := parseAnyPath(raw.Path)
	if err != nil {
		return PathInfo{}, err
	}
	if raw.Valid != nil && !*raw.Valid {
		return PathInfo{}, fmt.Errorf("%s is not in the store", path)
	}
	if raw.NarSize < 0 {
		return PathInfo{}, fmt.Errorf("%s: narSize is %d", path, raw.NarSize)
	}
	info := PathInfo{Path: path, NarSize: raw.NarSize}
	if info.NarHash, err = decodeNarHash(raw.NarHash); err != nil {
		return PathInfo{}, fmt.Errorf("%s: narHash: %w", path, err)
	}
	for _, text := range raw.References {
		ref, err := parseAnyPath(text)
		if err != nil {
			return PathInfo{}, fmt.Errorf("%s: references: %w", path, err)
		}
		info.References = append(info.References, ref)
	}
	return info, nil
}

// parseAnyPath reads a store path with or without its folder, which format 2
// leaves out.
func parseAnyPath(s string) (StorePath, error) {
	if !strings.Contains(s, "/") {
		s = StoreDir + "/" + s
	}
	return ParseStorePath(s)
}

// decodeNarHash reads a hash as a string or, as Nix 2.33 writes it in format 2,
// as an object.
func decodeNarHash(text json.RawMessage) (v1.Hash, error) {
	if len(text) == 0 {
		return v1.Hash{}, nil
	}
	var parts struct{ Algorithm, Format, Hash string }
	if text[0] != '{' {
		if err := json.Unmarshal(text, &parts.Hash); err != nil {
			return v1.Hash{}, err
		}
		return ParseNarHash(parts.Hash)
	}
	if err := json.Unmarshal(text, &parts); err != nil {
		return v1.Hash{}, err
	}
	separator := ":"
	if parts.Format == "base64" {
		separator = "-"
	}
	return ParseNarHash(parts.Algorithm + separator + parts.Hash)
}

// unreferenced lists the paths that no other path refers to.
func unreferenced(infos []PathInfo) []StorePath {
	referred := map[StorePath]bool{}
	for _, info := range infos {
		for _, ref := range info.References {
			if ref != info.Path {
				referred[ref] = true
			}
		}
	}
	var roots []StorePath
	for _, info := range infos {
		if !referred[info.Path] {
			roots = append(roots, info.Path)
		}
	}
	return roots
}
