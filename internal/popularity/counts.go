// Package popularity turns closures, a store or a binary cache into counts: how
// many store paths refer to a package, by name without version.
//
// To the planner a count is a hint that other images contain a store path too. The
// package is separate from the planner because the numbers are data, with a date
// and an origin, while the plan is a pure function of them: a table changes a
// plan, and so a digest, but never whether an image is correct.
//
// Counts do not depend on the order in which store paths come, nor on whether
// the counting was interrupted: equal sources give equal bytes.
package popularity

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
)

// MaxTable bounds the bytes of JSON in a table; nixpkgs has about 120,000 names.
const MaxTable = 16 << 20

// maxNames bounds the names in a table.
const maxNames = 1 << 20

// Counts maps a name without version to the number of packages that refer to
// it. The nil map is an empty table.
type Counts map[string]int64

// Of returns the count for a store path's name, which may have a version; 0 if the
// table lacks it.
func (c Counts) Of(name string) int64 { return c[Name(name)] }

// Name drops the version from a store path's name, by Nix's own rule: the
// version begins after the first dash that is not followed by a letter.
//
//	openssl-3.0.13-dev ▶ openssl    gcc-wrapper-13 ▶ gcc-wrapper    readme.txt ▶ readme.txt
//
// Source: "parseDrvName" in the Nix manual.
func Name(name string) string {
	for i := 0; i < len(name); i++ {
		if name[i] == '-' && (i+1 == len(name) || !isLetter(name[i+1])) {
			return name[:i]
		}
	}
	return name
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// Write writes the table as [Read] reads it: sorted by name, a line each. Equal
// counts are equal bytes.
func (c Counts) Write(w io.Writer) error {
	if c == nil {
		c = Counts{}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(c); err != nil {
		return fmt.Errorf("writing popularity table: %w", err)
	}
	return nil
}

// SHA256 returns the digest of what Write writes, in hex. Tables that are written
// otherwise but count the same have the same one.
func (c Counts) SHA256() string {
	sum := sha256.New()
	_ = c.Write(sum) // a hash takes every write
	return hex.EncodeToString(sum.Sum(nil))
}

// Read reads a table: one JSON object, name ▶ count. Names may carry versions,
// as in Nixery's tables; they are dropped, and the largest count stays.
func Read(r io.Reader) (Counts, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxTable+1))
	if err != nil {
		return nil, fmt.Errorf("reading it: %w", err)
	}
	if len(data) > MaxTable {
		return nil, fmt.Errorf("it is larger than %d MiB", MaxTable>>20)
	}
	// Each entry has a colon: so a map of too many is not made.
	if bytes.Count(data, []byte(":")) > maxNames {
		return nil, fmt.Errorf("it has more than %d names", maxNames)
	}
	var raw map[string]int64
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("want one JSON object, name to count: %w", err)
	}
	counts := make(Counts, len(raw))
	for name, n := range raw {
		if n < 0 {
			return nil, fmt.Errorf("the count of %q is negative", name)
		}
		short := Name(strings.TrimSpace(name))
		counts[short] = max(counts[short], n)
	}
	return counts, nil
}

//go:embed table.json.gz
var table []byte

// Embedded returns the table in the program. Callers must not change it.
var Embedded = sync.OnceValue(func() Counts {
	zr, err := gzip.NewReader(bytes.NewReader(table))
	if err == nil {
		var counts Counts
		if counts, err = Read(zr); err == nil {
			return counts
		}
	}
	panic(fmt.Sprintf("the embedded popularity table is broken: %v", err))
})
