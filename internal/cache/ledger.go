package cache

import (
	"maps"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
)

// Page is what one run knew in the end: all it made, and all it knew from before and used.
type Page struct {
	// Layers has the record of each layer by its key.
	Layers map[layers.Key]layers.Record
	// Paths are the store paths of closures. A path's references are there too: a closure is kept whole.
	Paths map[nix.StorePath]nix.PathInfo
	// Images has the digest of a manifest by a key that the caller makes of all that fixes it, at most 512 bytes.
	Images map[string]v1.Hash
	// Roots has what packages evaluated to, by a key that the caller makes of all that fixes it, at most 512 bytes.
	Roots map[string][]Root
	// Inspected has when all blobs of an image were last seen to exist in a repository, by a key that the caller makes of
	// both, at most 512 bytes. Seconds count.
	Inspected map[string]time.Time
}

// Root is a package, and the store path of the output that is meant.
type Root struct {
	Name string
	Path nix.StorePath
}

// NewPage returns an empty page.
func NewPage() Page {
	return Page{
		map[layers.Key]layers.Record{}, map[nix.StorePath]nix.PathInfo{}, map[string]v1.Hash{}, map[string][]Root{},
		map[string]time.Time{},
	}
}

// AddClosure notes all paths of a closure.
func (p Page) AddClosure(c nix.Closure) {
	for _, info := range c.Paths {
		p.Paths[info.Path] = info
	}
}

func (p Page) empty() bool {
	return len(p.Layers)+len(p.Paths)+len(p.Images)+len(p.Roots)+len(p.Inspected) == 0
}

// holds says whether all of q is on p.
func (p Page) holds(q Page) bool {
	return within(q.Layers, p.Layers) && within(q.Images, p.Images) &&
		withinFunc(q.Paths, p.Paths, equalPaths) && withinFunc(q.Roots, p.Roots, slices.Equal) &&
		withinFunc(q.Inspected, p.Inspected, sameSecond)
}

func within[K, V comparable](some, all map[K]V) bool {
	return withinFunc(some, all, func(a, b V) bool { return a == b })
}

func withinFunc[K comparable, V any](some, all map[K]V, equal func(V, V) bool) bool {
	for key, value := range some {
		if other, ok := all[key]; !ok || !equal(value, other) {
			return false
		}
	}
	return true
}

func sameSecond(a, b time.Time) bool { return a.Unix() == b.Unix() }

func equalPaths(a, b nix.PathInfo) bool {
	return a.Path == b.Path && a.NarHash == b.NarHash && a.NarSize == b.NarSize && slices.Equal(a.References, b.References)
}

// without is what is left of p when all that newer says something about is gone.
func (p Page) without(newer Page) Page {
	left := Page{maps.Clone(p.Layers), maps.Clone(p.Paths), maps.Clone(p.Images), maps.Clone(p.Roots), maps.Clone(p.Inspected)}
	for key := range newer.Layers {
		delete(left.Layers, key)
	}
	for key := range newer.Paths {
		delete(left.Paths, key)
	}
	for key := range newer.Images {
		delete(left.Images, key)
	}
	for key := range newer.Roots {
		delete(left.Roots, key)
	}
	for key := range newer.Inspected {
		delete(left.Inspected, key)
	}
	return left
}

// mostPages is how many runs that learnt something a ledger remembers.
const mostPages = 16

// Ledger is what the last runs in one lane learnt: a page for each, newest first. What a newer page says counts, so that a record
// that lied is replaced by the next one. A Ledger never changes, and may be used concurrently; its zero value is empty.
type Ledger struct{ pages []Page }

// Empty says whether nothing is known.
func (l *Ledger) Empty() bool { return len(l.pages) == 0 }

// Layer returns the record of a layer, if one is known.
func (l *Ledger) Layer(key layers.Key) (layers.Record, bool) {
	return lookUp(l, key, func(p Page) map[layers.Key]layers.Record { return p.Layers })
}

// Image returns the digest of a manifest, if it is known.
func (l *Ledger) Image(key string) (v1.Hash, bool) {
	return lookUp(l, key, func(p Page) map[string]v1.Hash { return p.Images })
}

// Roots returns what packages evaluated to, if it is known. The slice is not to be changed.
func (l *Ledger) Roots(key string) ([]Root, bool) {
	return lookUp(l, key, func(p Page) map[string][]Root { return p.Roots })
}

// Inspected returns when all blobs of an image were last seen to exist in a repository, if it is known.
func (l *Ledger) Inspected(key string) (time.Time, bool) {
	return lookUp(l, key, func(p Page) map[string]time.Time { return p.Inspected })
}

// Closure returns what roots reach, if every path of it is known.
func (l *Ledger) Closure(roots []nix.StorePath) (nix.Closure, bool) {
	known := map[nix.StorePath]nix.PathInfo{}
	for _, page := range slices.Backward(l.pages) {
		maps.Copy(known, page.Paths)
	}
	closure, err := nix.NewClosure(roots, slices.Collect(maps.Values(known)))
	return closure, err == nil
}

func lookUp[K comparable, V any](l *Ledger, key K, kept func(Page) map[K]V) (V, bool) {
	for _, page := range l.pages {
		if value, ok := kept(page)[key]; ok {
			return value, true
		}
	}
	var none V
	return none, false
}

// With returns a ledger that has page before its own pages. The oldest pages go when there are too many.
func (l *Ledger) With(page Page) *Ledger {
	with := newLedger(append([]Page{page}, l.pages...))
	with.pages = with.pages[:min(len(with.pages), mostPages)]
	return with
}

// knows says whether the newest page says all that page does: then nothing is learnt by keeping it.
func (l *Ledger) knows(page Page) bool {
	return page.empty() || len(l.pages) > 0 && l.pages[0].holds(page)
}

// join is what several ledgers know, the first one's word before the second's.
func join(ledgers ...*Ledger) *Ledger {
	var pages []Page
	for _, l := range ledgers {
		pages = append(pages, l.pages...)
	}
	return newLedger(pages)
}

// newLedger drops what newer pages have said already, and with it pages that say nothing new.
func newLedger(pages []Page) *Ledger {
	l := &Ledger{}
	for _, page := range pages {
		for _, newer := range l.pages {
			page = page.without(newer)
		}
		if !page.empty() {
			l.pages = append(l.pages, page)
		}
	}
	return l
}
