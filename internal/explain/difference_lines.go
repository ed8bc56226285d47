package explain

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/org/nixery-action/internal/progress"
)

// line is a change of one store path as people read it.
type line struct {
	kind          string
	name          string
	before, after string // versions; "-" where there is none
	size          string // empty if it is not known
	asked         bool
}

// lines are all changes but rebuilds, of which one update makes many.
func (d PathDifference) lines() []line {
	var all []line
	for _, u := range d.Updated {
		all = append(all, line{"updated", u.New.Name, u.Old.text(), u.New.text(), grown(u.Old.Size, u.New.Size), u.asked()})
	}
	for _, v := range d.Added {
		all = append(all, line{"added", v.Name, "-", v.text(), grown(0, v.Size), v.Asked})
	}
	for _, v := range d.Removed {
		size := ""
		if v.Size > 0 {
			size = signed(-v.Size)
		}
		all = append(all, line{"removed", v.Name, v.text(), "-", size, v.Asked})
	}
	return all
}

// rebuilds are the rebuilt paths as lines.
func (d PathDifference) rebuilds() []line {
	all := make([]line, len(d.Rebuilt))
	for i, u := range d.Rebuilt {
		all[i] = line{"rebuilt", u.New.Name, u.Old.text(), u.New.text(), grown(u.Old.Size, u.New.Size), u.asked()}
	}
	return all
}

func (v Version) text() string { return cmp.Or(v.Version, "-") }

// RebuiltSize returns the sum of the new sizes of what was rebuilt, or 0 if one is
// not known.
func (d PathDifference) RebuiltSize() int64 {
	all := make([]Version, len(d.Rebuilt))
	for i, u := range d.Rebuilt {
		all[i] = u.New
	}
	return sizeOf(all)
}

// grown is the new size, and by how much it differs from the old one if that is
// known.
func grown(old, new int64) string {
	switch {
	case new == 0:
		return ""
	case old == 0 || old == new:
		return progress.Size(new)
	}
	return fmt.Sprintf("%s (%s)", progress.Size(new), signed(new-old))
}

func signed(size int64) string {
	if size < 0 {
		return "-" + progress.Size(-size)
	}
	return "+" + progress.Size(size)
}

// first returns the first lines, at most limit, and how many more exist; a limit of
// 0 is none.
func first(lines []line, limit int) ([]line, int) {
	if limit <= 0 || len(lines) <= limit {
		return lines, 0
	}
	return slices.Clip(lines[:limit]), len(lines) - limit
}
