package explain

import (
	"cmp"
	"io"
	"maps"
	"slices"

	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/popularity"
)

// Difference is what two images, or two plans, have in common and what not.
type Difference struct {
	Platform   string          `json:"platform,omitempty"`
	Compressed bool            `json:"compressed"` // sizes are of blobs; else NAR sizes
	Layers     LayerDifference `json:"layers"`
	Paths      PathDifference  `json:"paths"`
}

// LayerDifference is in layers and their bytes. Added is what one who has the
// old image still needs for the new one.
type LayerDifference struct {
	Old     Amount `json:"old"`
	New     Amount `json:"new"`
	Shared  Amount `json:"shared"`
	Added   Amount `json:"added"`
	Removed Amount `json:"removed"`
}

// Amount is a number of layers, each counted once, and their bytes.
type Amount struct {
	Layers int   `json:"layers"`
	Size   int64 `json:"size"`
}

// PathDifference is in store paths. All lists are sorted by name.
type PathDifference struct {
	Known   bool                 `json:"known"`   // false if an image does not say what it holds
	Shared  int                  `json:"shared"`  // how many are in both
	Updated []Update             `json:"updated"` // other version
	Rebuilt []Update             `json:"rebuilt"` // same version, other hash: something below has changed
	Added   []nixbuild.StorePath `json:"added"`
	Removed []nixbuild.StorePath `json:"removed"`
}

// Update is a store path that took the place of another of the same name.
type Update struct {
	Name       string             `json:"name"` // without version
	OldVersion string             `json:"oldVersion"`
	NewVersion string             `json:"newVersion"`
	Old        nixbuild.StorePath `json:"old"`
	New        nixbuild.StorePath `json:"new"`
}

// Compare tells two contents of one kind apart. Either may be empty: an image
// that is there for one platform only.
func Compare(old, new Contents) Difference {
	return Difference{
		Platform:   cmp.Or(new.Platform, old.Platform),
		Compressed: old.Compressed || new.Compressed,
		Layers:     compareLayers(old, new),
		Paths:      comparePaths(old, new),
	}
}

// CompareAll pairs contents by platform, and sorts what comes of it by platform.
func CompareAll(old, new []Contents) []Difference {
	before, after := map[string]Contents{}, map[string]Contents{}
	for _, c := range old {
		before[c.Platform] = c
	}
	for _, c := range new {
		after[c.Platform] = c
	}
	var all []Difference
	for _, platform := range slices.Sorted(maps.Keys(after)) {
		all = append(all, Compare(before[platform], after[platform]))
	}
	for _, platform := range slices.Sorted(maps.Keys(before)) {
		if _, ok := after[platform]; !ok {
			all = append(all, Compare(before[platform], Contents{}))
		}
	}
	slices.SortStableFunc(all, func(a, b Difference) int { return cmp.Compare(a.Platform, b.Platform) })
	return all
}

func compareLayers(old, new Contents) LayerDifference {
	var d LayerDifference
	before, after := sizesOf(old), sizesOf(new)
	for id, size := range before {
		d.Old.add(size)
		if _, ok := after[id]; ok {
			d.Shared.add(size)
		} else {
			d.Removed.add(size)
		}
	}
	for id, size := range after {
		d.New.add(size)
		if _, ok := before[id]; !ok {
			d.Added.add(size)
		}
	}
	return d
}

func (a *Amount) add(size int64) {
	a.Layers++
	a.Size += size
}

func sizesOf(c Contents) map[string]int64 {
	sizes := map[string]int64{}
	for _, layer := range c.Layers {
		sizes[layer.ID] = layer.Size
	}
	return sizes
}

func comparePaths(old, new Contents) PathDifference {
	before, after := old.paths(), new.paths()
	d := PathDifference{
		Known:   (len(before) > 0 || len(old.Layers) == 0) && (len(after) > 0 || len(new.Layers) == 0),
		Removed: without(before, after), Added: without(after, before),
		Updated: []Update{}, Rebuilt: []Update{},
	}
	d.Shared = len(before) - len(d.Removed)
	// A path goes with one of the same full name, else of the same name and
	// output (openssl-3.0.11-dev, openssl-3.0.13-dev), else of the same name.
	for _, likeness := range []func(nixbuild.StorePath) string{nixbuild.StorePath.Name, nameAndOutput, shortName} {
		d.pair(likeness)
	}
	slices.SortFunc(d.Updated, compareUpdates)
	slices.SortFunc(d.Rebuilt, compareUpdates)
	return d
}

// without is what is in all and not in some, both sorted by path; the result is
// sorted by name.
func without(all, some []nixbuild.StorePath) []nixbuild.StorePath {
	rest := []nixbuild.StorePath{}
	for _, p := range all {
		if _, found := slices.BinarySearch(some, p); !found {
			rest = append(rest, p)
		}
	}
	slices.SortFunc(rest, compareNames)
	return rest
}

// pair moves paths that were removed and added, and are alike, to the updates.
func (d *PathDifference) pair(likeness func(nixbuild.StorePath) string) {
	added := map[string][]nixbuild.StorePath{}
	for _, p := range d.Added {
		added[likeness(p)] = append(added[likeness(p)], p)
	}
	taken := map[nixbuild.StorePath]bool{}
	d.Removed = slices.DeleteFunc(d.Removed, func(old nixbuild.StorePath) bool {
		candidates := added[likeness(old)]
		if len(candidates) == 0 {
			return false
		}
		taken[candidates[0]] = true
		added[likeness(old)] = candidates[1:]
		d.note(old, candidates[0])
		return true
	})
	d.Added = slices.DeleteFunc(d.Added, func(p nixbuild.StorePath) bool { return taken[p] })
}

func (d *PathDifference) note(old, new nixbuild.StorePath) {
	name := shortName(new)
	u := Update{Name: name, Old: old, New: new, OldVersion: versionOf(old, name), NewVersion: versionOf(new, name)}
	if old.Name() == new.Name() {
		d.Rebuilt = append(d.Rebuilt, u)
	} else {
		d.Updated = append(d.Updated, u)
	}
}

func shortName(p nixbuild.StorePath) string { return popularity.Name(p.Name()) }

// nameAndOutput is a name without version, and what follows the version if it is
// a word, as the outputs of a derivation do.
func nameAndOutput(p nixbuild.StorePath) string {
	name := shortName(p)
	version := versionOf(p, name)
	for i := len(version) - 1; i > 0; i-- {
		switch c := version[i]; {
		case c == '-':
			return name + version[i:]
		case c < 'a' || c > 'z':
			return name
		}
	}
	return name
}

// WriteDifferencesJSON writes one difference as an object, several as a list of
// such objects under differences.
func WriteDifferencesJSON(w io.Writer, all []Difference) error {
	if len(all) == 1 {
		return writeJSON(w, all[0])
	}
	return writeJSON(w, map[string][]Difference{"differences": all})
}
