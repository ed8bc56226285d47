// Package summary turns what a run reported, and what went wrong in it, into a
// page of Markdown, for the page of a workflow's run or a pull request, and into
// a few lines for a terminal.
//
// It stands apart from report, which has the facts, because what people see of
// them changes for other reasons.
//
// The invariant: a page is never longer than its limit, however large the images
// are, and whatever a name or an error says, it stays text.
package summary

import (
	"github.com/org/nixery-action/internal/report"
)

// The longest pages that GitHub takes: of a step, in bytes
// (https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands#step-isolation-and-limits),
// and of a comment, in characters, of which there are never more than bytes.
const (
	StepLimit    = 1 << 20
	CommentLimit = 65_536
)

// Page is the content of a summary.
type Page struct {
	Title    string         // which spec it is, if there may be several pages; may be empty
	Report   *report.Report // nil if nothing was built
	Warnings []Remark
	Unkept   int // warnings that are not in Warnings
	Faults   []Remark
	Hide     func(string) string // takes secrets out of a text; nil if there are none
}

// Remark is something that went wrong, and where, if its place is known.
type Remark struct {
	Place   string // file:line:column, or less
	Message string // may have several lines
}
