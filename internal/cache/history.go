package cache

import (
	"maps"
	"slices"
	"time"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
)

// Snapshot is what one run saves: all that it built, and all that it used from the cache.
type Snapshot struct {
	// Layers has the record of each layer by its key.
	Layers map[layers.Key]layers.Record
	// Paths are the store paths of closures. A path's references are there too: a closure is kept whole.
	Paths map[nix.StorePath]nix.PathInfo
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

// NewSnapshot returns an empty snapshot.
func NewSnapshot() Snapshot {
	return Snapshot{
		map[layers.Key]layers.Record{}, map[nix.StorePath]nix.PathInfo{}, map[string][]Root{},
		map[string]time.Time{},
	}
}

// AddClosure notes all paths of a closure.
func (p Snapshot) AddClosure(c nix.Closure) {
	for _, info := range c.Paths {
		p.Paths[info.Path] = info
	}
}

func (p Snapshot) empty() bool {
	return len(p.Layers)+len(p.Paths)+len(p.Roots)+len(p.Inspected) == 0
}

// contains says whether all of q is on p.
func (p Snapshot) contains(q Snapshot) bool {
	return within(q.Layers, p.Layers) &&
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
func (p Snapshot) without(newer Snapshot) Snapshot {
	left := Snapshot{maps.Clone(p.Layers), maps.Clone(p.Paths), maps.Clone(p.Roots), maps.Clone(p.Inspected)}
	for key := range newer.Layers {
		delete(left.Layers, key)
	}
	for key := range newer.Paths {
		delete(left.Paths, key)
	}
	for key := range newer.Roots {
		delete(left.Roots, key)
	}
	for key := range newer.Inspected {
		delete(left.Inspected, key)
	}
	return left
}

// maxSnapshots is how many runs a history keeps.
const maxSnapshots = 16

// History is what the last runs in one scope saved: a snapshot for each, newest first. What a newer snapshot says counts, so that a record
// that lied is replaced by the next one. A History never changes, and may be used concurrently; its zero value is empty.
type History struct{ snapshots []Snapshot }

// Empty says whether nothing is known.
func (l *History) Empty() bool { return len(l.snapshots) == 0 }

// Layer returns the record of a layer, if one is known.
func (l *History) Layer(key layers.Key) (layers.Record, bool) {
	return lookUp(l, key, func(p Snapshot) map[layers.Key]layers.Record { return p.Layers })
}

// Roots returns what packages evaluated to, if it is known. The slice is not to be changed.
func (l *History) Roots(key string) ([]Root, bool) {
	return lookUp(l, key, func(p Snapshot) map[string][]Root { return p.Roots })
}

// Inspected returns when all blobs of an image were last seen to exist in a repository, if it is known.
func (l *History) Inspected(key string) (time.Time, bool) {
	return lookUp(l, key, func(p Snapshot) map[string]time.Time { return p.Inspected })
}

// Closure returns what roots reach, if every path of it is known.
func (l *History) Closure(roots []nix.StorePath) (nix.Closure, bool) {
	known := map[nix.StorePath]nix.PathInfo{}
	for _, snapshot := range slices.Backward(l.snapshots) {
		maps.Copy(known, snapshot.Paths)
	}
	closure, err := nix.NewClosure(roots, slices.Collect(maps.Values(known)))
	return closure, err == nil
}

func lookUp[K comparable, V any](l *History, key K, kept func(Snapshot) map[K]V) (V, bool) {
	for _, snapshot := range l.snapshots {
		if value, ok := kept(snapshot)[key]; ok {
			return value, true
		}
	}
	var none V
	return none, false
}

// With returns a history that has snapshot before its own snapshots. The oldest snapshots go when there are too many.
func (l *History) With(snapshot Snapshot) *History {
	with := newHistory(append([]Snapshot{snapshot}, l.snapshots...))
	with.snapshots = with.snapshots[:min(len(with.snapshots), maxSnapshots)]
	return with
}

// contains says whether the newest snapshot says all that snapshot does: then saving it adds nothing.
func (l *History) contains(snapshot Snapshot) bool {
	return snapshot.empty() || len(l.snapshots) > 0 && l.snapshots[0].contains(snapshot)
}

// join is what several histories know, the first one's word before the second's.
func join(histories ...*History) *History {
	var snapshots []Snapshot
	for _, l := range histories {
		snapshots = append(snapshots, l.snapshots...)
	}
	return newHistory(snapshots)
}

// newHistory drops what newer snapshots have said already, and with it snapshots that say nothing new.
func newHistory(snapshots []Snapshot) *History {
	l := &History{}
	for _, snapshot := range snapshots {
		for _, newer := range l.snapshots {
			snapshot = snapshot.without(newer)
		}
		if !snapshot.empty() {
			l.snapshots = append(l.snapshots, snapshot)
		}
	}
	return l
}
