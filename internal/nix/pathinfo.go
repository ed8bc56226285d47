package nix

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/bounded"
)

// Limits of a list of store paths in JSON.
const (
	MaxClosureJSON = 64 << 20 // bytes, unzipped: 2 KiB for each path of the largest closure
	maxInfoJSON    = 4 << 20  // bytes of one path
)

// ReadClosure reads what "nix path-info --json --recursive" prints: the array of
// Nix up to 2.18, the object of newer ones, and their format 2. Its roots are the
// paths that nothing else refers to. What is gzipped is unzipped first.
//
// Lists without NAR hashes are read too: NarHash is then the zero value, and
// such a closure can be planned but not packed. Paths are counted while they are
// read, and a context that ends ends that.
func ReadClosure(ctx context.Context, r io.Reader) (Closure, error) {
	plain, err := unzipped(r)
	if err != nil {
		return Closure{}, fmt.Errorf("reading a closure: %w", err)
	}
	infos, err := decodePathInfos(bounded.JSON(ctx, plain, MaxClosureJSON))
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

func decodePathInfos(d *json.Decoder) ([]PathInfo, error) {
	list := pathInfos{decoder: d, seen: map[StorePath]bool{}}
	var err error
	switch first, errFirst := d.Token(); {
	case errFirst != nil:
		return nil, fmt.Errorf("want what nix path-info --json --recursive prints: %w", unended(errFirst))
	case first == json.Delim('['):
		err = bounded.Values(d, MaxPaths, func() error { return list.read("") })
	case first == json.Delim('{'):
		err = bounded.Fields(d, MaxPaths, list.field)
	default:
		return nil, fmt.Errorf("want what nix path-info --json --recursive prints, and found %.80q", fmt.Sprint(first))
	}
	if err == nil {
		err = bounded.End(d)
	}
	if err == nil && len(list.infos) == 0 {
		err = errors.New("it has no paths")
	}
	return list.infos, err
}

func unended(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// pathInfos gathers what one list says.
type pathInfos struct {
	decoder *json.Decoder
	infos   []PathInfo
	seen    map[StorePath]bool
}

// field reads a field of an object of path to info. Format 2 has that object
// under "info", in an envelope.
func (l *pathInfos) field(name string) error {
	switch name {
	case "info":
		return bounded.Object(l.decoder, MaxPaths, l.read)
	case "storeDir":
		var dir string
		err := bounded.Value(l.decoder, maxInfoJSON, &dir)
		if err == nil && dir != "" && dir != StoreDir {
			err = fmt.Errorf("it is of the store %s, not %s", dir, StoreDir)
		}
		return err
	case "version":
		var version json.RawMessage
		return bounded.Value(l.decoder, maxInfoJSON, &version)
	}
	return l.read(name)
}

// read reads what is said of a path, whose name stands there too if it is empty.
func (l *pathInfos) read(name string) error {
	var raw *pathInfoJSON
	if err := bounded.Value(l.decoder, maxInfoJSON, &raw); err != nil {
		return fmt.Errorf("want what nix path-info --json --recursive prints: %w", err)
	}
	switch {
	case raw == nil && name == "":
		return errors.New("one of its paths is null")
	case raw == nil:
		return fmt.Errorf("%s is not in the store", name)
	case name != "":
		raw.Path = name
	}
	info, err := raw.decode()
	if err != nil {
		return err
	}
	if l.seen[info.Path] {
		return fmt.Errorf("%s is in it twice", info.Path)
	}
	l.seen[info.Path] = true
	l.infos = append(l.infos, info)
	return nil
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

// parseAnyPath reads a store path with or without its directory, which format 2
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
