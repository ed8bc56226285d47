package cache

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kept is an entry that a store has, as those who tidy up see it.
type Kept struct {
	Name Name
	// Ref is the branch, tag or pull request that the entry belongs to, "refs/heads/main", in the Actions cache. A run sees the
	// entries of its own ref, its base and the default branch only.
	Ref  string
	Made time.Time // zero if the store does not tell: registries
	Used time.Time // last saved or read; zero if the store does not tell
	Size int64     // bytes of the content
	ID   string    // what the store calls it
}

// IsBlob tells a layer's blob, which is large and of use to all scopes, from a history.
func (k Kept) IsBlob() bool { return strings.HasPrefix(string(k.Name.Scope), ScopePrefix+"blob-") }

// Inventory is a store whose entries can be listed and removed. A build needs neither.
type Inventory interface {
	// List returns the entries that this program saved, in any order, and nothing else that may be in the same place.
	List(ctx context.Context) ([]Kept, error)
	// Remove deletes an entry that List returned. One that is gone already is no error.
	Remove(ctx context.Context, entry Kept) error
	// String names the store.
	String() string
}

// What inventories are doing, for their errors.
const (
	Listing  = "listing entries"
	Removing = "removing an entry"
)

var (
	OurScope = regexp.MustCompile(`^` + ScopePrefix + `([0-9a-f]{40}|blob-[0-9a-f]{64})$`)
	ourName  = regexp.MustCompile(fmt.Sprintf(`^(.*)-([0-9a-f]{%d})$`, serialDigits))
)

// ParseName reads the name of an entry in any scope of ours. Others may have names that begin as ours do.
func ParseName(s string) (Name, bool) {
	parts := ourName.FindStringSubmatch(s)
	if parts == nil || !OurScope.MatchString(parts[1]) {
		return Name{}, false
	}
	serial, err := strconv.ParseUint(parts[2], 16, 32)
	return Name{Scope(parts[1]), uint32(serial)}, err == nil
}

// Policy says which entries stay.
type Policy struct {
	Keep int   // how many of the newest entries of each scope and ref, at least 1
	Size int64 // bytes that all may have together; 0 is no limit
}

// Surplus are the entries that a policy has no place for. Of each scope and ref the newest histories stay, whatever their size: they
// are kilobytes, and without them blobs are of no use. Blobs go until the rest fits, those first that were unused for
// longest; where the store does not tell, the largest.
func (p Policy) Surplus(all []Kept) []Kept {
	surplus, rest := p.superseded(all)
	left := Sum(rest)
	slices.SortStableFunc(rest, func(a, b Kept) int {
		return cmp.Or(a.Used.Compare(b.Used), cmp.Compare(b.Size, a.Size), cmp.Compare(a.Name.Scope, b.Name.Scope))
	})
	for _, entry := range rest {
		if p.Size > 0 && left > p.Size && entry.IsBlob() {
			surplus = append(surplus, entry)
			left -= entry.Size
		}
	}
	return surplus
}

// superseded parts entries that newer ones have taken the place of from the rest.
func (p Policy) superseded(all []Kept) (superseded, rest []Kept) {
	type series struct {
		scope Scope
		ref   string
	}
	newer := map[series]int{}
	for _, entry := range NewestFirst(all) {
		s := series{entry.Name.Scope, entry.Ref}
		if newer[s]++; newer[s] > max(p.Keep, 1) {
			superseded = append(superseded, entry)
		} else {
			rest = append(rest, entry)
		}
	}
	return superseded, rest
}

// NewestFirst sorts a copy: histories before blobs, then by scope and ref, and there the newest first.
func NewestFirst(all []Kept) []Kept {
	rank := func(k Kept) int {
		if k.IsBlob() {
			return 1
		}
		return 0
	}
	return slices.SortedStableFunc(slices.Values(all), func(a, b Kept) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Name.Scope, b.Name.Scope), cmp.Compare(a.Ref, b.Ref),
			cmp.Compare(b.Name.Serial, a.Name.Serial), b.Made.Compare(a.Made))
	})
}

// Sum is the bytes of all.
func Sum(all []Kept) int64 {
	var sum int64
	for _, entry := range all {
		sum += entry.Size
	}
	return sum
}
