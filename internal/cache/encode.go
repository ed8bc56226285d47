package cache

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/bounded"
	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
)

const (
	magic         = "nixery-action ledger "
	formatVersion = "3"
	maxEncoded    = 8 << 20  // bytes, encoded
	maxDecoded    = 32 << 20 // bytes of JSON
	maxEntries    = 1 << 17  // layers, paths, roots and inspections of all snapshots
	maxEntry      = 1 << 20  // bytes of JSON; a path with 10,000 references has less
	maxKey        = 512      // bytes of the key of roots or of an inspection
	maxFirstLine  = 512
)

// A history's file is one line, "nixery-action ledger 3 sha256:<hex>", and what has that digest: gzipped JSON. A history with a
// mark, see [Key], has " hmac-sha256:<hex>" at the end of the line.

// Encode returns the history's file for a scope, with the mark of the key. It has less than 8 MiB, and no more
// than Decode reads: the oldest snapshots that do not fit are left out.
func (l *History) Encode(key Key, scope Scope) ([]byte, error) {
	return l.encode(key, scope, maxEncoded, maxEntries)
}

func (l *History) encode(key Key, scope Scope, limit, entries int) ([]byte, error) {
	for snapshots := l.snapshots; ; snapshots = snapshots[:len(snapshots)-1] {
		body, plain, err := encodeSnapshots(snapshots)
		if err != nil {
			return nil, fmt.Errorf("encoding history: %w", err)
		}
		file := append(firstLine(key, scope, body), body...)
		if len(file) <= limit && plain <= maxDecoded && count(snapshots) <= entries || len(snapshots) == 0 {
			return file, nil
		}
	}
}

func count(snapshots []Snapshot) (n int) {
	for _, p := range snapshots {
		n += len(p.Layers) + len(p.Paths) + len(p.Roots) + len(p.Inspected)
	}
	return n
}

func firstLine(key Key, scope Scope, body []byte) []byte {
	line := fmt.Appendf(nil, "%s%s %s", magic, formatVersion, DigestOf(body))
	if !key.IsZero() {
		line = fmt.Appendf(line, " %s", key.mark(scope, body))
	}
	return append(line, '\n')
}

// encodeSnapshots returns gzipped JSON, and how many bytes of JSON that are.
func encodeSnapshots(snapshots []Snapshot) (body []byte, plain int, err error) {
	file := historyJSON{Snapshots: []snapshotJSON{}}
	for _, snapshot := range snapshots {
		file.Snapshots = append(file.Snapshots, snapshot.encode())
	}
	text, err := json.Marshal(file)
	if err != nil {
		return nil, 0, err
	}
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	_, err = zip.Write(text)
	err = errors.Join(err, zip.Close())
	return zipped.Bytes(), len(text), err
}

func DigestOf(b []byte) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sha256.Sum256(b))}
}

// Decode reads the file of a scope's history. All of it is checked: the mark, if there is a key, before anything else; digest,
// bounds, and the form of every value. It ends when the context does. A file of another format is [ErrNotFound], and one
// without the key's mark is [ErrUnmarked].
func Decode(ctx context.Context, r io.Reader, key Key, scope Scope) (*History, error) {
	body, err := readBody(ctx, r, key, scope)
	if err != nil {
		return nil, fmt.Errorf("reading history: %w", err)
	}
	snapshots, err := decodeSnapshots(ctx, body, limits{maxDecoded, maxEntries})
	if err != nil {
		return nil, fmt.Errorf("decoding history: %w", err)
	}
	return newHistory(snapshots), nil
}

// readBody reads a file and checks its first line.
func readBody(ctx context.Context, r io.Reader, key Key, scope Scope) ([]byte, error) {
	file, err := bounded.ReadAll(ctx, r, maxEncoded)
	if err != nil {
		return nil, err
	}
	line, body, ok := bytes.Cut(file, []byte("\n"))
	rest, isLedger := strings.CutPrefix(string(line[:min(len(line), maxFirstLine)]), magic)
	format, rest, _ := strings.Cut(rest, " ")
	digest, mark, _ := strings.Cut(rest, " ")
	switch {
	case !ok || !isLedger:
		return nil, errors.New("it does not begin as a history does")
	case format != formatVersion:
		return nil, fmt.Errorf("its format is %.20q, not %s: %w", format, formatVersion, ErrNotFound)
	case !key.IsZero() && !key.made(mark, scope, body):
		return nil, ErrUnmarked
	case digest != DigestOf(body).String():
		return nil, errors.New("it does not have its digest: it was cut or changed")
	}
	return body, nil
}

type historyJSON struct {
	Snapshots []snapshotJSON `json:"snapshots"`
}

type snapshotJSON struct {
	Layers map[layers.Key]recordJSON `json:"layers,omitempty"`
	Paths  map[string]pathJSON       `json:"paths,omitempty"`
	Roots  map[string][]rootJSON     `json:"roots,omitempty"`
	// Inspected has seconds since 1970.
	Inspected map[string]int64 `json:"inspected,omitempty"`
}

type rootJSON struct {
	Name string `json:"name"`
	Path string `json:"path"`
}

type recordJSON struct {
	DiffID v1.Hash `json:"diffID"`
	Digest v1.Hash `json:"digest"`
	Size   int64   `json:"size"`
}

type pathJSON struct {
	NarHash    v1.Hash  `json:"narHash"`
	NarSize    int64    `json:"narSize"`
	References []string `json:"references,omitempty"`
}

func (p Snapshot) encode() snapshotJSON {
	j := snapshotJSON{Layers: map[layers.Key]recordJSON{}, Paths: map[string]pathJSON{}, Roots: map[string][]rootJSON{}, Inspected: map[string]int64{}}
	for key, record := range p.Layers {
		j.Layers[key] = recordJSON(record)
	}
	for path, info := range p.Paths {
		entry := pathJSON{NarHash: info.NarHash, NarSize: info.NarSize}
		for _, reference := range info.References {
			entry.References = append(entry.References, string(reference))
		}
		j.Paths[string(path)] = entry
	}
	for key, roots := range p.Roots {
		for _, root := range roots {
			j.Roots[key] = append(j.Roots[key], rootJSON{root.Name, string(root.Path)})
		}
	}
	for key, at := range p.Inspected {
		j.Inspected[key] = at.Unix()
	}
	return j
}

func (j pathJSON) decode(text string) (nix.PathInfo, error) {
	path, err := nix.ParseStorePath(text)
	if err != nil {
		return nix.PathInfo{}, err
	}
	if !IsSHA256(j.NarHash) || j.NarSize < 0 {
		return nix.PathInfo{}, fmt.Errorf("path %.80q is malformed", text)
	}
	info := nix.PathInfo{Path: path, NarHash: j.NarHash, NarSize: j.NarSize}
	for _, reference := range j.References {
		ref, err := nix.ParseStorePath(reference)
		if err != nil {
			return nix.PathInfo{}, err
		}
		info.References = append(info.References, ref)
	}
	if !slices.IsSorted(info.References) || len(slices.Compact(slices.Clone(info.References))) != len(info.References) {
		return nix.PathInfo{}, fmt.Errorf("path %.80q: its references are not in order", text)
	}
	return info, nil
}

// IsSHA256 is false for the zero value, which stands for what is not there.
func IsSHA256(h v1.Hash) bool { return h.Algorithm == "sha256" && isHex(h.Hex) }

func isHex(s string) bool { return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == "" }
