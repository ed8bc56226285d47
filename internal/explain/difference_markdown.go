package explain

import (
	"fmt"
	"io"

	"github.com/org/nixery-action/internal/markdown"
	"github.com/org/nixery-action/internal/progress"
)

// WriteDifferencesMarkdown writes differences as GitHub-flavoured Markdown, one
// after the other: the packages that changed, at most limit of each; 0 is all.
// Each begins and ends with an empty line.
func WriteDifferencesMarkdown(w io.Writer, all []Difference, limit int) error {
	for _, d := range all {
		if err := d.writeMarkdown(w, limit); err != nil {
			return err
		}
	}
	return nil
}

func (d Difference) writeMarkdown(w io.Writer, limit int) error {
	title := ""
	if d.Platform != "" {
		title = "**" + markdown.Text(d.Platform) + "**: "
	}
	if _, err := fmt.Fprintf(w, "\n%s%s\n", title, d.sentence()); err != nil {
		return err
	}
	if l := d.Layers; l.Old.Layers > 0 && l.New.Layers > 0 && (l.Shared != l.Old || l.Shared != l.New) {
		if err := d.Paths.writeMarkdown(w, limit); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}

// sentence returns what an upgrade from the old image costs: "Upgrading downloads
// 37.2 kB of 52.4 kB (5 of 13 layers, compressed)."
func (d Difference) sentence() string {
	l := d.Layers
	switch {
	case l.Shared == l.Old && l.Shared == l.New:
		return "all layers are the same."
	case l.New.Layers == 0:
		return "removed."
	case l.Old.Layers == 0:
		return fmt.Sprintf("new, %s in %s (%s).", progress.Size(l.New.Size), plural(l.New.Layers, "layer"), d.measure())
	}
	text := fmt.Sprintf("Upgrading downloads %s of %s (%d of %s, %s).",
		progress.Size(l.Added.Size), progress.Size(l.New.Size), l.Added.Layers, plural(l.New.Layers, "layer"), d.measure())
	if p := d.Paths; p.OldSize > 0 && p.NewSize > 0 {
		text += fmt.Sprintf(" Unpacked %s, %s.", progress.Size(p.NewSize), signed(p.NewSize-p.OldSize))
	}
	return text
}

var changeColumns = []markdown.Column{{Title: ""}, {Title: "package"}, {Title: "before"}, {Title: "after"}, {Title: "unpacked", Right: true}}

func (d PathDifference) writeMarkdown(w io.Writer, limit int) error {
	if !d.Known {
		_, err := fmt.Fprint(w, "\nWhat has changed is not known: an image does not list its store paths in its history.\n")
		return err
	}
	lines, more := first(d.lines(), limit)
	if len(lines) > 0 {
		cells := make([][]string, len(lines))
		for i, r := range lines {
			cells[i] = r.cells()
		}
		if err := markdown.WriteTable(w, changeColumns, cells); err != nil {
			return err
		}
	}
	if more > 0 {
		fmt.Fprintf(w, "\n… and %d more\n", more)
	}
	return d.writeRebuilt(w)
}

// cells returns the columns of a table, with requested packages in bold.
func (r line) cells() []string {
	name := markdown.Text(r.name)
	if r.asked {
		name = "**" + name + "**"
	}
	return []string{r.kind, name, markdown.Text(r.before), markdown.Text(r.after), r.size}
}

// writeRebuilt writes one line for all rebuilt paths: only their size matters.
func (d PathDifference) writeRebuilt(w io.Writer) error {
	if len(d.Rebuilt) == 0 {
		return nil
	}
	size := ""
	if sum := d.RebuiltSize(); sum > 0 {
		size = ", " + progress.Size(sum)
	}
	_, err := fmt.Fprintf(w, "\n%s rebuilt with the same version%s, because something below has changed.\n", plural(len(d.Rebuilt), "store path"), size)
	return err
}
