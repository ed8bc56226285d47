package popularity

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// Table is counts, and where they are from. The zero value is no table.
type Table struct {
	Source string // as given to [Load], but a URL without what may be secret in it
	SHA256 string // of the counts, as [Counts.SHA256] has it; empty for no table
	Counts Counts
}

// Load gets the table that where names: "none", "embedded", an https URL, an
// http URL on this machine, or a file. Files and URLs hold JSON as [Read] reads
// it, as it is or gzipped. If sum is not empty, it must be the SHA-256 of the
// file, in hex.
//
// What cannot be had is an error, never another table: that would be another
// plan, and other digests.
func Load(ctx context.Context, where, sum string) (Table, error) {
	switch where {
	case "none":
		return Table{Source: where}, nil
	case "embedded":
		return newTable(where, Embedded()), nil
	}
	if !strings.Contains(where, "://") {
		return loadFile(where, sum)
	}
	return loadURL(ctx, newWeb("nixery-action", slog.New(slog.DiscardHandler), 1), where, sum)
}

func newTable(source string, counts Counts) Table {
	return Table{Source: source, SHA256: counts.SHA256(), Counts: counts}
}

func loadFile(file, sum string) (Table, error) {
	f, err := os.Open(file)
	if err != nil {
		return Table{}, fmt.Errorf("reading popularity table: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxTable+1))
	if err != nil {
		return Table{}, fmt.Errorf("reading popularity table: %w", err)
	}
	return decode(file, data, sum)
}

func loadURL(ctx context.Context, w *web, where, sum string) (Table, error) {
	u, err := parseURL(where)
	if err == nil && !isSafe(u) {
		err = errors.New("want https: over plain http anyone on the way could change the table")
	}
	if err != nil {
		return Table{}, fmt.Errorf("fetching popularity table: %w", err)
	}
	data, _, err := w.fetch(ctx, u, maxTable, whole)
	if err != nil {
		return Table{}, fmt.Errorf("fetching popularity table from %s: %w; to build without it, write popularity: embedded, or none", bare(u), err)
	}
	return decode(bare(u), data, sum)
}

func decode(source string, data []byte, sum string) (Table, error) {
	got := sha256.Sum256(data)
	if sum != "" && !strings.EqualFold(sum, hex.EncodeToString(got[:])) {
		return Table{}, fmt.Errorf("the popularity table %s has the SHA-256 %x, not %s: it is not the one that was pinned", source, got, sum)
	}
	r, err := unzipped(data)
	if err != nil {
		return Table{}, fmt.Errorf("%s: reading popularity table: %w", source, err)
	}
	counts, err := Read(r)
	if err != nil {
		return Table{}, fmt.Errorf("%s: %w", source, err)
	}
	return newTable(source, counts), nil
}

// unzipped knows gzip by its first bytes (RFC 1952 §2.3.1): neither a file's
// name nor a server's headers can be relied on.
func unzipped(data []byte) (io.Reader, error) {
	if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		return gzip.NewReader(bytes.NewReader(data))
	}
	return bytes.NewReader(data), nil
}
