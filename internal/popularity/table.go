package popularity

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/org/nixery-action/internal/plainfile"
)

// Table is counts with their source. The zero value is no table.
type Table struct {
	Source string // as given to [Load], but a URL without its secret parts
	SHA256 string // of the counts, as [Counts.SHA256] has it; empty for no table
	Counts Counts
}

// TableError says why a table cannot be loaded. No other table is used in its
// place, since that would change the plan, and so digests.
type TableError struct {
	Source string // as in [Table]; empty for what is neither file nor URL
	Remote bool   // it is fetched, so a retry may help
	Err    error
}

func (e *TableError) Error() string {
	return fmt.Sprintf("popularity table %s: %v", e.Source, e.Err)
}

// Unwrap returns Err.
func (e *TableError) Unwrap() error { return e.Err }

func NewTable(source string, counts Counts) Table {
	return Table{Source: source, SHA256: counts.SHA256(), Counts: counts}
}

func LoadFile(file, sum string) (Table, error) {
	data, err := ReadFile(file, MaxTable)
	if err != nil {
		return Table{}, &TableError{Source: file, Err: err}
	}
	counts, err := Decode(data, sum)
	if err != nil {
		return Table{}, &TableError{Source: file, Err: err}
	}
	return NewTable(file, counts), nil
}

func Decode(data []byte, sum string) (Counts, error) {
	got := sha256.Sum256(data)
	if sum != "" && !strings.EqualFold(sum, hex.EncodeToString(got[:])) {
		return nil, fmt.Errorf("its SHA-256 is %x, not %s: it is not the table that was pinned", got, sum)
	}
	r, err := unzipped(data)
	if err != nil {
		return nil, err
	}
	return Read(r)
}

// ReadFile reads at most limit+1 bytes, so that the caller can refuse larger files.
func ReadFile(file string, limit int64) ([]byte, error) {
	f, err := plainfile.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit+1))
}

// unzipped detects gzip by its first bytes (RFC 1952 §2.3.1), since neither a file's
// name nor a server's headers are reliable.
func unzipped(data []byte) (io.Reader, error) {
	if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		return gzip.NewReader(bytes.NewReader(data))
	}
	return bytes.NewReader(data), nil
}
