package explain

import (
	"cmp"
	"slices"

	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/popularity"
)

// PathDifference is in store paths. In all lists packages that were asked for
// come first, and then all is sorted by name.
type PathDifference struct {
	Known   bool      `json:"known"`             // false if an image does not say what it holds
	Shared  int       `json:"shared"`            // how many are in both
	OldSize int64     `json:"oldSize,omitempty"` // of all in the old one, NAR bytes; 0 and absent if one is not known
	NewSize int64     `json:"newSize,omitempty"`
	Updated []Update  `json:"updated"` // other version
	Rebuilt []Update  `json:"rebuilt"` // same version, other hash: a path that it refers to has changed
	Added   []Version `json:"added"`
	Removed []Version `json:"removed"`
}

// Version is a store path, with name and version parsed from it:
// openssl-3.0.15-dev ▶ openssl, 3.0.15-dev.
type Version struct {
	Name    string        `json:"name"`    // without version, after [popularity.Name]
	Version string        `json:"version"` // with what follows it, such as 3.0.15-dev; may be empty
	Path    nix.StorePath `json:"path"`
	Size    int64         `json:"size,omitempty"`  // NAR bytes; 0 and absent if not known
	Asked   bool          `json:"asked,omitempty"` // a package that was asked for, if the image says so
}

// Update is a store path that took the place of another of the same name.
type Update struct {
	Old Version `json:"old"`
	New Version `json:"new"`
}

func comparePaths(old, new Contents) PathDifference {
	before, after := old.versions(), new.versions()
	d := PathDifference{
		Known:   (len(before) > 0 || len(old.Layers) == 0) && (len(after) > 0 || len(new.Layers) == 0),
		OldSize: sizeOf(before), NewSize: sizeOf(after),
		Removed: without(before, after), Added: without(after, before),
		Updated: []Update{}, Rebuilt: []Update{},
	}
	d.Shared = len(before) - len(d.Removed)
	// A path goes with one of the same full name, else of the same name and
	// output (openssl-3.0.11-dev, openssl-3.0.13-dev), else of the same name.
	for _, likeness := range []func(Version) string{fullName, nameAndOutput, func(v Version) string { return v.Name }} {
		d.pair(likeness)
	}
	slices.SortFunc(d.Updated, compareUpdates)
	slices.SortFunc(d.Rebuilt, compareUpdates)
	return d
}

// versions are the store paths of all layers, sorted by path, each once.
func (c Contents) versions() []Version {
	asked := map[nix.StorePath]bool{}
	for _, p := range c.Packages {
		asked[p.Path] = true
	}
	paths := c.paths()
	all := make([]Version, len(paths))
	for i, p := range paths {
		name := popularity.Name(p.Name())
		all[i] = Version{Name: name, Version: versionOf(p, name), Path: p, Size: c.Sizes[p], Asked: asked[p]}
	}
	return all
}

// sizeOf returns the sum of sizes, or 0 if one of them is unknown.
func sizeOf(all []Version) int64 {
	var sum int64
	for _, v := range all {
		if v.Size == 0 {
			return 0
		}
		sum += v.Size
	}
	return sum
}

// without returns all ∖ some, both sorted by path; the result is in the order of
// lists.
func without(all, some []Version) []Version {
	rest := []Version{}
	for _, v := range all {
		if _, found := slices.BinarySearchFunc(some, v, comparePath); !found {
			rest = append(rest, v)
		}
	}
	slices.SortFunc(rest, compareVersions)
	return rest
}

// pair moves pairs of a removed and an added path of the same kind to the updates.
func (d *PathDifference) pair(likeness func(Version) string) {
	added := map[string][]Version{}
	for _, v := range d.Added {
		added[likeness(v)] = append(added[likeness(v)], v)
	}
	taken := map[nix.StorePath]bool{}
	d.Removed = slices.DeleteFunc(d.Removed, func(old Version) bool {
		candidates := added[likeness(old)]
		if len(candidates) == 0 {
			return false
		}
		taken[candidates[0].Path] = true
		added[likeness(old)] = candidates[1:]
		d.note(Update{old, candidates[0]})
		return true
	})
	d.Added = slices.DeleteFunc(d.Added, func(v Version) bool { return taken[v.Path] })
}

func (d *PathDifference) note(u Update) {
	if fullName(u.Old) == fullName(u.New) {
		d.Rebuilt = append(d.Rebuilt, u)
	} else {
		d.Updated = append(d.Updated, u)
	}
}

func fullName(v Version) string { return v.Path.Name() }

// nameAndOutput returns a name without version, and what follows the version if it
// is a word, as the outputs of a derivation do: openssl-3.0.13-dev ▶ openssl, dev.
func nameAndOutput(v Version) string {
	for i := len(v.Version) - 1; i > 0; i-- {
		switch c := v.Version[i]; {
		case c == '-':
			return v.Name + v.Version[i:]
		case c < 'a' || c > 'z':
			return v.Name
		}
	}
	return v.Name
}

func comparePath(a, b Version) int { return cmp.Compare(a.Path, b.Path) }

// compareVersions orders requested packages first.
func compareVersions(a, b Version) int {
	return cmp.Or(compareAsked(a.Asked, b.Asked), cmp.Compare(fullName(a), fullName(b)), comparePath(a, b))
}

func compareUpdates(a, b Update) int {
	return cmp.Or(compareAsked(a.asked(), b.asked()), cmp.Compare(fullName(a.New), fullName(b.New)), comparePath(a.New, b.New))
}

func (u Update) asked() bool { return u.Old.Asked || u.New.Asked }

func compareAsked(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
