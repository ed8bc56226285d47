package summary

import (
	"fmt"
	"slices"
	"strings"

	"github.com/org/nixery-action/internal/markdown"
	"github.com/org/nixery-action/internal/progress"
	"github.com/org/nixery-action/internal/report"
)

// details are the rows that lists may have, tried in turn until a page is short enough.
var details = []int{300, 100, 30, 10, 3, 0}

// Markdown returns the page, of at most limit bytes. It is written with ever
// shorter lists until it fits; each list counts the rows that it omits.
func (p Page) Markdown(limit int) string {
	p.Faults, p.Warnings = p.shorten(p.Faults), p.shorten(p.Warnings)
	var page string
	w := newPen(p.Hide)
	for _, rows := range details {
		if rows > 0 && p.least(rows) > limit {
			continue
		}
		w.Reset()
		if page = p.write(w, rows); len(page) <= limit {
			return page
		}
	}
	const end = "\n\n… and more, which does not fit here\n"
	cut := strings.LastIndexByte(page[:limit-len(end)], '\n')
	return page[:max(cut, 0)] + end
}

// least returns a lower bound of a page's bytes, which spares writing pages that
// cannot fit: each layer takes a row of at least minRow bytes.
func (p Page) least(rows int) (sum int) {
	if p.Report == nil {
		return 0
	}
	for _, img := range p.Report.Images {
		for _, platform := range img.Platforms {
			sum += min(rows, len(platform.Layers)) * minRow
		}
	}
	return sum
}

const minRow = len("| 1 | 1 B | 1 B | 1 | a | built |\n")

func (p Page) write(w *pen, rows int) string {
	p.heading(w)
	w.faults(p.Faults, rows)
	if p.Report != nil {
		w.published(p.Report)
		w.images(p.Report)
		for i := range p.Report.Images {
			w.image(p, i, rows)
		}
		w.source(p.Report)
	}
	w.warnings(p.Warnings, p.Unkept, rows)
	return w.hide(w.String())
}

func (p Page) heading(w *pen) {
	title := "Images of Nix packages"
	switch {
	case p.Report == nil:
		title = "No image was published"
	case p.Report.Run.Incomplete:
		title = "Not everything was published"
	}
	w.printf("### %s", title)
	if p.Title != "" {
		w.printf(": %s", w.text(p.Title))
	}
	w.printf("\n")
}

// shorten cuts long messages, once they hold no secret of which a part would be left.
func (p Page) shorten(remarks []Remark) []Remark {
	short := slices.Clone(remarks)
	for i := range short {
		if p.Hide != nil {
			short[i].Message = p.Hide(short[i].Message)
		}
		short[i].Message = clip(short[i].Message, maxMessage)
	}
	return short
}

// leastFaults is how many errors a page has in any case.
const leastFaults = 10

func (p *pen) faults(faults []Remark, rows int) {
	shown := faults[:min(len(faults), max(rows, leastFaults))]
	for _, f := range shown {
		p.remark("**Error**", f)
	}
	if left := len(faults) - len(shown); left > 0 {
		p.printf("\n… and %d more errors, in the log\n", left)
	}
}

func (p *pen) warnings(warnings []Remark, unkept, rows int) {
	all := len(warnings) + unkept
	if all == 0 {
		return
	}
	defer p.fold(plural(all, "warning"), false)()
	for _, w := range warnings[:min(len(warnings), rows)] {
		p.remark("-", w)
	}
	if left := all - min(len(warnings), rows); left > 0 {
		p.printf("\n… and %d more, in the log\n", left)
	}
}

// remark writes a remark of one line as such, and the lines of others as they are.
func (p *pen) remark(lead string, r Remark) {
	first, rest, _ := strings.Cut(strings.TrimSpace(r.Message), "\n")
	p.printf("\n%s ", lead)
	if r.Place != "" {
		p.printf("%s: ", p.code(r.Place))
	}
	p.printf("%s\n", p.text(first))
	if rest != "" {
		p.block(rest)
	}
}

func (p *pen) images(r *report.Report) {
	columns := []markdown.Column{
		{Title: "Image"}, {Title: "Platform"}, {Title: "Compressed", Right: true},
		{Title: "Unpacked", Right: true}, {Title: "Layers", Right: true}, {Title: "Time", Right: true},
	}
	var rows [][]string
	for i, img := range r.Images {
		for j, platform := range img.Platforms {
			row := make([]string, 1, len(columns))
			if j == 0 {
				row[0] = p.code(nameOf(img))
			}
			row = append(row, p.text(platform.Platform), progress.Size(platform.Size), progress.Size(platform.UnpackedSize), fmt.Sprint(len(platform.Layers)))
			if j == 0 && i < len(r.Run.Images) {
				row = append(row, duration(r.Run.Images[i].Seconds))
			}
			rows = append(rows, row)
		}
	}
	p.table(columns, rows, 1000)
}

// nameOf returns an image's first tag, if it has one, or its name in the spec.
func nameOf(img report.Image) string {
	if len(img.Tags) > 0 {
		return img.Tags[0]
	}
	return img.Name
}

func (p *pen) source(r *report.Report) {
	p.printf("\nPackage source: %s", p.text(r.Source.Source))
	if r.Source.Pinned != "" && r.Source.Pinned != r.Source.Source {
		p.printf(", %s", p.code(r.Source.Pinned))
	}
	p.printf("\n")
}
