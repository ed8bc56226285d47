package crawl

import (
	"maps"
	"strings"

	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/popularity"
)

// Tally counts the referrers of names. A referrer is a store path, and counts once
// for a name, however many store paths of that name it refers to; what a store
// path refers to in itself does not count. Derivations are no referrers, since
// they say what a build needs. The zero value is empty. It is not for concurrent use.
type Tally struct {
	counts popularity.Counts
	seen   map[nix.StorePath]bool
}

// Add counts the references of a store path, unless that path was added before.
func (t *Tally) Add(path nix.StorePath, references []nix.StorePath) {
	t.add(path, namesOf(path, references))
}

func (t *Tally) add(path nix.StorePath, names map[string]bool) {
	if t.seen == nil {
		t.counts, t.seen = popularity.Counts{}, map[nix.StorePath]bool{}
	}
	if t.seen[path] || strings.HasSuffix(string(path), ".drv") {
		return
	}
	t.seen[path] = true
	for name := range names {
		t.counts[name]++
	}
}

// Referrers returns how many store paths were added, including those without
// references.
func (t *Tally) Referrers() int { return len(t.seen) }

// Counts returns the names with at least least referrers.
func (t *Tally) Counts(least int64) popularity.Counts {
	counts := maps.Clone(t.counts)
	maps.DeleteFunc(counts, func(_ string, n int64) bool { return n < least })
	return counts
}

// namesOf returns the names without version that path refers to.
func namesOf(path nix.StorePath, references []nix.StorePath) map[string]bool {
	names := map[string]bool{}
	for _, ref := range references {
		if ref != path {
			names[popularity.Name(ref.Name())] = true
		}
	}
	return names
}
