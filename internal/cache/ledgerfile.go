package cache

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nixbuild"
)

const (
	ledgerMagic    = "nixery-action ledger "
	ledgerFormat   = "1"
	largestLedger  = 8 << 20  // bytes, encoded
	largestDecoded = 64 << 20 // bytes of JSON
	longestKey     = 512      // bytes of the key of an image, or of roots
)

// A ledger's file is one line, "nixery-action ledger 1 sha256:<hex>", and what has that digest: gzipped JSON.

// Encode returns the ledger's file, less than 8 MiB of it: the oldest pages that do not fit are left out.
func (l *Ledger) Encode() ([]byte, error) { return l.encode(largestLedger) }

func (l *Ledger) encode(limit int) ([]byte, error) {
	for pages := l.pages; ; pages = pages[:len(pages)-1] {
		file, err := encodePages(pages)
		if err != nil || len(file) <= limit || len(pages) == 0 {
			return file, err
		}
	}
}

func encodePages(pages []Page) ([]byte, error) {
	var body bytes.Buffer
	zip := gzip.NewWriter(&body)
	file := ledgerJSON{Pages: []pageJSON{}}
	for _, page := range pages {
		file.Pages = append(file.Pages, page.encode())
	}
	if err := errors.Join(json.NewEncoder(zip).Encode(file), zip.Close()); err != nil {
		return nil, fmt.Errorf("encoding ledger: %w", err)
	}
	return append(fmt.Appendf(nil, "%s%s %s\n", ledgerMagic, ledgerFormat, digestOf(body.Bytes())), body.Bytes()...), nil
}

func digestOf(b []byte) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sha256.Sum256(b))}
}

// Decode reads a ledger's file. All of it is checked: digest, bounds, and the form of every value. A file of another format is
// [ErrNotFound].
func Decode(r io.Reader) (*Ledger, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, fmt.Errorf("reading ledger: %w", err)
	}
	pages, err := decodePages(body, largestDecoded)
	if err != nil {
		return nil, fmt.Errorf("decoding ledger: %w", err)
	}
	return newLedger(pages), nil
}

// readBody reads a file and checks its first line.
func readBody(r io.Reader) ([]byte, error) {
	file, err := io.ReadAll(io.LimitReader(r, largestLedger+1))
	if err != nil {
		return nil, err
	}
	if len(file) > largestLedger {
		return nil, fmt.Errorf("it is larger than %d bytes", largestLedger)
	}
	line, body, ok := bytes.Cut(file, []byte("\n"))
	rest, isLedger := strings.CutPrefix(string(line), ledgerMagic)
	format, digest, _ := strings.Cut(rest, " ")
	switch {
	case !ok || !isLedger:
		return nil, errors.New("it does not begin as a ledger does")
	case format != ledgerFormat:
		return nil, fmt.Errorf("its format is %.20q, not %s: %w", format, ledgerFormat, ErrNotFound)
	case digest != digestOf(body).String():
		return nil, errors.New("it does not have its digest: it was cut or changed")
	}
	return body, nil
}

func decodePages(body []byte, limit int64) ([]Page, error) {
	zip, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	limited := &io.LimitedReader{R: zip, N: limit}
	decoder := json.NewDecoder(limited)
	decoder.DisallowUnknownFields()
	var file ledgerJSON
	if err := decoder.Decode(&file); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) || limited.N == 0 {
		return nil, errors.New("there is more than one value, or too much")
	}
	pages := make([]Page, 0, len(file.Pages))
	for _, p := range file.Pages {
		page, err := p.decode()
		if err != nil {
			return nil, err
		}
		pages = append(pages, page)
	}
	return pages, nil
}

type ledgerJSON struct {
	Pages []pageJSON `json:"pages"`
}

type pageJSON struct {
	Layers map[layers.Key]recordJSON `json:"layers,omitempty"`
	Paths  map[string]pathJSON       `json:"paths,omitempty"`
	Images map[string]v1.Hash        `json:"images,omitempty"`
	Roots  map[string][]rootJSON     `json:"roots,omitempty"`
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

func (p Page) encode() pageJSON {
	j := pageJSON{Layers: map[layers.Key]recordJSON{}, Paths: map[string]pathJSON{}, Images: p.Images, Roots: map[string][]rootJSON{}}
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
	return j
}

func (j pageJSON) decode() (Page, error) {
	p := NewPage()
	for key, record := range j.Layers {
		if !isHex(string(key)) || !isSHA256(record.DiffID) || !isSHA256(record.Digest) || record.Size < 0 {
			return Page{}, fmt.Errorf("layer %.80q is malformed", key)
		}
		p.Layers[key] = layers.Record(record)
	}
	for text, entry := range j.Paths {
		info, err := entry.decode(text)
		if err != nil {
			return Page{}, err
		}
		p.Paths[info.Path] = info
	}
	for key, digest := range j.Images {
		if key == "" || len(key) > longestKey || !isSHA256(digest) {
			return Page{}, fmt.Errorf("image %.80q is malformed", key)
		}
		p.Images[key] = digest
	}
	return p, j.decodeRoots(p)
}

func (j pageJSON) decodeRoots(p Page) error {
	for key, roots := range j.Roots {
		if key == "" || len(key) > longestKey {
			return fmt.Errorf("the key %.80q of roots is malformed", key)
		}
		for _, root := range roots {
			path, err := nixbuild.ParseStorePath(root.Path)
			if err != nil {
				return fmt.Errorf("root %.80q: %w", root.Name, err)
			}
			p.Roots[key] = append(p.Roots[key], Root{root.Name, path})
		}
	}
	return nil
}

func (j pathJSON) decode(text string) (nixbuild.PathInfo, error) {
	path, err := nixbuild.ParseStorePath(text)
	if err != nil {
		return nixbuild.PathInfo{}, err
	}
	if !isSHA256(j.NarHash) || j.NarSize < 0 {
		return nixbuild.PathInfo{}, fmt.Errorf("path %.80q is malformed", text)
	}
	info := nixbuild.PathInfo{Path: path, NarHash: j.NarHash, NarSize: j.NarSize}
	for _, reference := range j.References {
		ref, err := nixbuild.ParseStorePath(reference)
		if err != nil {
			return nixbuild.PathInfo{}, err
		}
		info.References = append(info.References, ref)
	}
	if !slices.IsSorted(info.References) || len(slices.Compact(slices.Clone(info.References))) != len(info.References) {
		return nixbuild.PathInfo{}, fmt.Errorf("path %.80q: its references are not in order", text)
	}
	return info, nil
}

// isSHA256 is false for the zero value, which stands for what is not there.
func isSHA256(h v1.Hash) bool { return h.Algorithm == "sha256" && isHex(h.Hex) }

func isHex(s string) bool { return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == "" }
