package explain

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/progress"
)

// WriteDifferences writes differences for people, one after the other.
func WriteDifferences(w io.Writer, all []Difference) error {
	for i, d := range all {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if d.Platform != "" {
			fmt.Fprintln(w, clean(d.Platform))
		}
		if err := d.writeTable(w); err != nil {
			return err
		}
		if err := d.Paths.writeLists(w); err != nil {
			return err
		}
	}
	return nil
}

func (d Difference) writeTable(w io.Writer) error {
	kind := "uncompressed"
	if d.Compressed {
		kind = "compressed"
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "\tlayers\t%s\tof new\t\n", kind)
	for _, line := range []struct {
		name   string
		amount Amount
	}{{"old", d.Layers.Old}, {"new", d.Layers.New}, {"shared", d.Layers.Shared}, {"added", d.Layers.Added}, {"removed", d.Layers.Removed}} {
		fmt.Fprintf(table, "%s\t%d\t%s\t", line.name, line.amount.Layers, progress.Size(line.amount.Size))
		if line.name == "shared" || line.name == "added" {
			fmt.Fprintf(table, "%s\t", percent(share(line.amount.Size, d.Layers.New.Size)))
		}
		fmt.Fprintln(table)
	}
	return table.Flush()
}

func (d PathDifference) writeLists(w io.Writer) error {
	if !d.Known {
		_, err := fmt.Fprintln(w, "\nthe store paths are not known: an image does not list them in its history")
		return err
	}
	fmt.Fprintf(w, "\n%s in both, %d updated, %d rebuilt, %d added, %d removed\n",
		plural(d.Shared, "store path"), len(d.Updated), len(d.Rebuilt), len(d.Added), len(d.Removed))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, u := range d.Updated {
		fmt.Fprintf(table, "updated\t%s\t%s -> %s\n", u.Name, u.OldVersion, u.NewVersion)
	}
	for _, u := range d.Rebuilt {
		fmt.Fprintf(table, "rebuilt\t%s\t%s\n", u.Name, u.NewVersion)
	}
	for _, p := range d.Added {
		fmt.Fprintf(table, "added\t%s\t%s\n", shortName(p), versionOf(p, shortName(p)))
	}
	for _, p := range d.Removed {
		fmt.Fprintf(table, "removed\t%s\t%s\n", shortName(p), versionOf(p, shortName(p)))
	}
	return table.Flush()
}

func compareNames(a, b nixbuild.StorePath) int {
	return cmp.Or(cmp.Compare(a.Name(), b.Name()), cmp.Compare(a, b))
}

func compareUpdates(a, b Update) int {
	return cmp.Or(compareNames(a.New, b.New), compareNames(a.Old, b.Old))
}
