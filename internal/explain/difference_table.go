package explain

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/org/nixery-action/internal/progress"
)

// WriteDifferences writes differences for people, one after the other, with at
// most limit store paths of each; 0 is all.
func WriteDifferences(w io.Writer, all []Difference, limit int) error {
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
		if err := d.Paths.writeLists(w, limit); err != nil {
			return err
		}
	}
	return nil
}

func (d Difference) writeTable(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "\tlayers\t%s\tof new\t\n", d.measure())
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

// measure returns the unit of the layers' sizes, for a heading.
func (d Difference) measure() string {
	if d.Compressed {
		return "compressed"
	}
	return "uncompressed"
}

func (d PathDifference) writeLists(w io.Writer, limit int) error {
	if !d.Known {
		_, err := fmt.Fprintln(w, "\nthe store paths are not known: an image does not list them in its history")
		return err
	}
	fmt.Fprintf(w, "\n%s in both, %d updated, %d rebuilt, %d added, %d removed\n",
		plural(d.Shared, "store path"), len(d.Updated), len(d.Rebuilt), len(d.Added), len(d.Removed))
	lines, more := first(append(d.lines(), d.rebuilds()...), limit)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range lines {
		fmt.Fprintf(table, "%s\t%s\t%s", r.kind, clean(r.name), clean(r.versions()))
		if r.size != "" {
			fmt.Fprintf(table, "\t%s", r.size)
		}
		fmt.Fprintln(table)
	}
	if err := table.Flush(); err != nil || more == 0 {
		return err
	}
	_, err := fmt.Fprintf(w, "… and %d more\n", more)
	return err
}

// versions are one version, or two with an arrow between them.
func (r line) versions() string {
	switch {
	case r.kind == "updated":
		return r.before + " -> " + r.after
	case r.kind == "removed":
		return r.before
	}
	return r.after
}
