package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// ErrNotFound says that there is no such entry, or none that this version can read.
var ErrNotFound = errors.New("not in the cache")

// ErrExists says that a name is taken: by an entry, or by one that another process has begun to save and may never finish.
var ErrExists = errors.New("an entry of that name exists, or is being saved")

// Scope is a series of entries of which each takes the place of the one before. Values are made by [Identity.Lane].
type Scope string

// Name is the name of an entry for ever. Within a scope the highest serial is the newest entry.
type Name struct {
	Scope  Scope
	Serial uint32
}

// String is at most 128 characters: lower-case letters, digits and hyphens. Serials have eight digits, so that no name begins
// another, and the order of names is the order of serials.
func (n Name) String() string { return fmt.Sprintf("%s-%08x", n.Scope, n.Serial) }

const serialDigits = 8

var scopeForm = regexp.MustCompile(`^[a-z0-9](-?[a-z0-9])*$`)

// Check keeps names apart from paths, key lists and whatever else has a meaning to a store.
func (n Name) Check() error {
	if len(n.String()) > 128 || !scopeForm.MatchString(string(n.Scope)) {
		return fmt.Errorf("%q cannot be the name of a cache entry", n)
	}
	return nil
}

// Prefix begins the names of a scope's entries, and of no other scope's.
func (l Scope) Prefix() string { return string(l) + "-" }

// Parse reads the name of an entry of this scope, in any case: act lower-cases names.
func (l Scope) Parse(s string) (Name, error) {
	digits, ok := strings.CutPrefix(strings.ToLower(s), l.Prefix())
	serial, err := strconv.ParseUint(digits, 16, 32)
	if !ok || err != nil || len(digits) != serialDigits {
		return Name{}, fmt.Errorf("entry %.100q is not of scope %s: %w", s, l, ErrNotFound)
	}
	return Name{l, uint32(serial)}, nil
}

// Entry is what a store found.
type Entry struct {
	Name Name
	Size int64 // bytes, or -1 if the store does not tell
	// Open starts reading the content. The caller closes it, and bounds and verifies what it reads: a store hands on what it
	// was given. A connection that breaks is an error of Read, never an early io.EOF.
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// Store keeps entries under names, as the GitHub Actions cache does: an entry never changes. All methods may be called
// concurrently, also by several processes.
//
// Errors other than [ErrNotFound], [ErrExists] and the context's are [*StoreError].
type Store interface {
	// Newest finds the newest entry of a scope, or ErrNotFound. It may be late: an entry just saved need not be seen yet.
	Newest(ctx context.Context, scope Scope) (Entry, error)
	// Save makes an entry of size bytes, which open gives; it may be called several times. The entry is seen whole, or not
	// at all. ErrExists if the name is taken.
	Save(ctx context.Context, name Name, size int64, open func() (io.ReadCloser, error)) error
	// String names the store in logs.
	String() string
}
