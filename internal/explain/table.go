package explain

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/progress"
)

// legend explains the tiers, in the order of how much room they leave.
var legend = []struct {
	tier layers.Tier
	text string
}{
	{layers.Single, "the budget has a layer for every path"},
	{layers.Heavy, "one of the largest paths, alone: no other path's change sends it again"},
	{layers.Light, "small paths that are about as likely to change share a layer"},
	{layers.Application, "what nothing refers to: it changes with every build"},
}

// WriteTable writes plans as text for people, one after the other.
func WriteTable(w io.Writer, plans []Explanation) error {
	for i, p := range plans {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if p.Image != "" {
			fmt.Fprintln(w, clean(p.name()))
		}
		if err := p.writeTable(w); err != nil {
			return err
		}
	}
	return nil
}

func (e Explanation) writeTable(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "layer\tsize\tpaths\tshare\trisk\ttier\t")
	for i, layer := range e.Layers {
		fmt.Fprintf(table, "%d\t%s\t%d\t%.1f%%\t%d\t%s\t  %s\n", i+1, progress.Size(layer.Size), len(layer.Paths),
			100*layer.Share, layer.Risk, layer.Tier, clean(namesOf(layer.group)))
	}
	fmt.Fprintf(table, "sum\t%s\t%d\t\n", progress.Size(e.Size()), e.Count())
	if err := table.Flush(); err != nil || len(e.Layers) == 0 {
		return err
	}
	if err := e.writeLegend(w); err != nil {
		return err
	}
	return e.Rebuild.writeTable(w)
}

func (e Explanation) writeLegend(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table)
	for _, line := range legend {
		if slices.ContainsFunc(e.Layers, func(l Layer) bool { return l.Tier == line.tier }) {
			fmt.Fprintf(table, "%s\t%s\n", line.tier, line.text)
		}
	}
	fmt.Fprintln(table, "risk\thow likely the layer changes, in the planner's unit: all that its paths reach adds to it,")
	fmt.Fprintln(table, "\tand a path adds the less, the more refer to it")
	return table.Flush()
}

func (r Rebuild) writeTable(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\nnew after a change of\tmean\tideal\tworst\tideal\t")
	for _, line := range []struct {
		change Change
		kind   string
	}{{r.Application, "application"}, {r.Library, "library"}} {
		if c := line.change; c.Paths > 0 {
			fmt.Fprintf(table, "one %s of %d\t%s\t%s\t%s\t%s\t  %s\n", line.kind, c.Paths, progress.Size(c.Mean.Size), progress.Size(c.Mean.Ideal),
				progress.Size(c.Worst.Size), progress.Size(c.Worst.Ideal), clean(c.WorstPath.Name()))
		}
	}
	return table.Flush()
}

// namesOf lists names without hashes, the largest paths first, as many as fit
// a line.
func namesOf(group layers.Group) string {
	const most = 4
	sorted := bySize(group)
	var names []string
	for _, info := range sorted[:min(len(sorted), most)] {
		names = append(names, info.Path.Name())
	}
	text := strings.Join(names, " ")
	if more := len(sorted) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func bySize(group layers.Group) layers.Group {
	sorted := slices.Clone(group)
	slices.SortStableFunc(sorted, func(a, b nix.PathInfo) int { return cmp.Compare(b.NarSize, a.NarSize) })
	return sorted
}

// clean keeps a name from speaking to the terminal.
func clean(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, name)
}
