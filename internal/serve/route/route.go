// Package route turns a request's path into what it is about: a manifest or blob of a named image, with its reference. It stands apart
// so that all that strangers write is read in one place, which knows of nothing else.
//
// The invariant: a [Name] and a digest that come out of it hold nothing but their grammar.
package route

import (
	"errors"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// What is that which a path leads to.
type What string

// What there is to be had of an image: the distribution specification 1.1, "Endpoints".
const (
	Manifest  What = "manifests"
	Blob      What = "blobs"
	Referrers What = "referrers"
	Tags      What = "tags"
)

// Route is a path's parts, as they were written: Name for ParseName; Reference is a digest, for a manifest also a tag, and empty for
// Tags.
type Route struct {
	What            What
	Name, Reference string
}

// Parse takes a path below /v2/ apart. What it leads to is told by its end, as a package may be called blobs. It is false if it leads
// nowhere.
func Parse(path string) (Route, bool) {
	rest, below := strings.CutPrefix(path, "/v2/")
	parts := strings.Split(rest, "/")
	if !below || len(parts) < 3 {
		return Route{}, false
	}
	name := strings.Join(parts[:len(parts)-2], "/")
	what, reference := What(parts[len(parts)-2]), parts[len(parts)-1]
	switch what {
	case Tags:
		return Route{Tags, name, ""}, reference == "list"
	case Manifest, Blob, Referrers:
		return Route{what, name, reference}, true
	}
	return Route{}, false
}

// WellFormed is false if there can be no manifest of this reference, as it is neither a tag nor a digest.
func (r Route) WellFormed() bool {
	if r.What != Manifest || !r.ByDigest() {
		return true
	}
	_, err := ParseDigest(r.Reference)
	return err == nil
}

// ByDigest tells a reference that is meant to be a digest from a tag, which has no colon.
func (r Route) ByDigest() bool { return strings.Contains(r.Reference, ":") }

// ErrNoDigest says that a reference is no digest that there may be a blob of.
var ErrNoDigest = errors.New("a digest is sha256: and 64 hexadecimal digits, in lower case")

// ParseDigest reads a digest. The error is ErrNoDigest.
func ParseDigest(reference string) (v1.Hash, error) {
	digest, err := v1.NewHash(reference)
	if err != nil || digest.Algorithm != "sha256" {
		return v1.Hash{}, ErrNoDigest
	}
	return digest, nil
}
