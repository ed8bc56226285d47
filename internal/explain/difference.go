package explain

import (
	"cmp"
	"io"
	"maps"
	"slices"
)

// Difference compares two images or two plans: layers and store paths that both
// have, and those that only one has.
type Difference struct {
	Platform   string          `json:"platform,omitempty"`
	Compressed bool            `json:"compressed"` // sizes are of blobs; else NAR sizes
	Layers     LayerDifference `json:"layers"`
	Paths      PathDifference  `json:"paths"`
}

// LayerDifference is in layers and their bytes. Added is what an upgrade from the
// old image to the new one downloads.
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

// Compare returns the difference of two contents of one kind. Either may be empty,
// for an image that exists on one side only.
func Compare(old, new Contents) Difference {
	return Difference{
		Platform:   cmp.Or(new.Platform, old.Platform),
		Compressed: old.Compressed || new.Compressed,
		Layers:     compareLayers(old, new),
		Paths:      comparePaths(old, new),
	}
}

// CompareAll compares the contents of each platform, and returns the differences
// sorted by platform.
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

// WriteDifferencesJSON writes an object whose key differences is a list, also of one.
func WriteDifferencesJSON(w io.Writer, all []Difference) error {
	return writeJSON(w, map[string][]Difference{"differences": all})
}
