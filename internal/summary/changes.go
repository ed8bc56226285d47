package summary

import (
	"fmt"
	"strings"

	"github.com/org/nixery-action/internal/explain"
	"github.com/org/nixery-action/internal/report"
)

// changes writes how the image differs from the one that its tag named before.
func (p *pen) changes(c report.Changes, rows int) {
	switch c.Change {
	case report.First:
		p.printf("\nThis is the first image under %s.\n", p.code(c.Previous))
	case report.Same:
		p.printf("\nNothing changed: %s had this digest already.\n", p.code(c.Previous))
	case report.Unread:
		p.printf("\n%s was %s, which could not be read to compare.\n", p.code(c.Previous), p.code(c.Old))
	case report.Changed:
		p.printf("\nWhat changed since %s was %s:\n", p.code(c.Previous), p.code(c.Old))
		p.differences(c, rows)
	}
}

// differences folds each platform's but the first's.
func (p *pen) differences(c report.Changes, rows int) {
	for i, d := range c.Platforms {
		title := headline(d)
		if d.Platform != "" {
			title = p.plain(d.Platform) + ": " + title
		}
		end := p.fold(title, i == 0)
		// A Builder takes all. No limit is 0 there.
		_ = explain.WriteDifferencesMarkdown(p, []explain.Difference{d}, max(rows, 1))
		end()
	}
}

func headline(d explain.Difference) string {
	if !d.Paths.Known {
		return "changed"
	}
	var parts []string
	for _, part := range []struct {
		n    int
		what string
	}{{len(d.Paths.Updated), "updated"}, {len(d.Paths.Added), "added"}, {len(d.Paths.Removed), "removed"}, {len(d.Paths.Rebuilt), "rebuilt"}} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	if len(parts) == 0 {
		return "the same packages"
	}
	return strings.Join(parts, ", ")
}
