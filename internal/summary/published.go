package summary

import (
	"strings"

	"github.com/org/nixery-action/internal/logline"
	"github.com/org/nixery-action/internal/markdown"
	"github.com/org/nixery-action/internal/report"
)

// published lists what a failed run has published.
func (p *pen) published(r *report.Report) {
	if !r.Run.Incomplete {
		return
	}
	for _, done := range r.Run.Published {
		p.printf("\nPublished before the failure: %s\n", p.code(strings.TrimSpace("type="+string(done.Kind)+" "+done.Path)))
	}
}

// outcomes are the words of a page for the outcomes of tags.
var outcomes = map[string]string{
	"same":    "unchanged",
	"created": "new",
	"moved":   "moved",
	"refused": "**refused**",
	"unknown": "**not known whether set**",
	"untried": "not tried",
}

// tags lists the outcome of each tag.
func (p *pen) tags(tags []report.TagRun, rows int) {
	if len(tags) == 0 {
		return
	}
	var lines [][]string
	for _, tag := range tags {
		before := ""
		if tag.From != "" {
			before = p.code(tag.From)
		}
		lines = append(lines, []string{p.code(tag.Tag), outcomes[tag.Outcome], before})
	}
	p.table([]markdown.Column{{Title: "Tag"}, {Title: "Outcome"}, {Title: "Digest before"}}, lines, max(rows, 10))
}

// tagsText writes the same for a terminal, but for a single tag that was set, as
// the line about changes names it.
func (p *pen) tagsText(tags []report.TagRun) {
	if len(tags) == 1 && tags[0].Set() {
		return
	}
	for _, tag := range tags {
		p.printf("  tag %s: %s", logline.Clean(tag.Tag), strings.Trim(outcomes[tag.Outcome], "*"))
		if tag.From != "" && tag.Outcome != "same" {
			p.printf(", before %s", tag.From)
		}
		p.printf("\n")
	}
}
