package summary

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/org/nixery-action/internal/explain"
	"github.com/org/nixery-action/internal/logline"
	"github.com/org/nixery-action/internal/progress"
	"github.com/org/nixery-action/internal/report"
)

// maxChanges is how many changed store paths of a platform a terminal shows.
const maxChanges = 10

// Text returns the summary for a terminal: sizes, reuse and changes of each
// image. It ends with a newline.
func (p Page) Text() string {
	if p.Report == nil {
		return ""
	}
	w := newPen(p.Hide)
	for i, img := range p.Report.Images {
		w.printf("%s\n", logline.Clean(nameOf(img)))
		w.sizes(img)
		cost := reuseOf(p.Report, i)
		w.printf("  %s %s", cost.bar(), cost)
		if i < len(p.Report.Run.Images) {
			w.printf(" (%s)\n", duration(p.Report.Run.Images[i].Seconds))
			w.tagsText(p.Report.Run.Images[i].Tags)
			w.news(p.Report.Run.Images[i].Changes)
			continue
		}
		w.printf("\n")
	}
	return w.hide(w.String())
}

func (p *pen) sizes(img report.Image) {
	table := tabwriter.NewWriter(p, 0, 0, 2, ' ', 0)
	for _, platform := range img.Platforms {
		fmt.Fprintf(table, "  %s\t%s compressed\t%s unpacked\t%s\n", logline.Clean(platform.Platform),
			progress.Size(platform.Size), progress.Size(platform.UnpackedSize), plural(len(platform.Layers), "layer"))
	}
	table.Flush() // to a Builder, which takes all
}

func (p *pen) news(c *report.Changes) {
	if c == nil {
		return
	}
	since := logline.Clean(c.Previous)
	switch c.Change {
	case report.First:
		p.printf("  first image under %s\n", since)
	case report.Same:
		p.printf("  nothing changed\n")
	case report.Unread:
		p.printf("  %s was %s, which could not be read to compare\n", since, c.Old)
	case report.Changed:
		p.printf("  changed since %s was %s:\n", since, c.Old)
		var table strings.Builder
		_ = explain.WriteDifferences(&table, c.Platforms, maxChanges) // a Builder takes all
		for line := range strings.Lines(table.String()) {
			p.printf("%s\n", strings.TrimRight("  "+line, " \n"))
		}
	}
}
