// Package markdown makes GitHub-flavoured Markdown of untrusted
// text: names of packages, tags, messages of errors.
//
// It stands apart because summaries, comments and the diff command all write
// Markdown, and what one of them forgets to escape is a hole in a page that
// others trust.
//
// The invariant: whatever a text holds, a reader sees that text, in its place and on one
// line. It makes no markup, table cell, link, mention or reference.
package markdown

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/org/nixery-action/internal/logline"
)

// Text is s for a place within a line, such as a table's cell. Behind @ and #
// there is a space of no width, because GitHub looks for mentions and issues in
// what it has rendered, where escaping is gone.
func Text(s string) string { return escape(s, "\u200B") }

// Code is s as code, exactly as it is to be copied: a reference, a digest. It
// may stand wherever [Text] may.
func Code(s string) string {
	if s == "" {
		return ""
	}
	// In <code> GitHub looks for no mentions. Backticks cannot hold all texts: a
	// table takes a backslash from before a bar.
	return "<code>" + escape(s, "") + "</code>"
}

func escape(s, behindMark string) string {
	var b strings.Builder
	for _, r := range oneLine(s) {
		switch {
		case r == '@' || r == '#':
			fmt.Fprintf(&b, "&#%d;%s", r, behindMark)
		case strings.ContainsRune("&<>\"'|`:\\", r):
			fmt.Fprintf(&b, "&#%d;", r)
		case r < unicode.MaxASCII && (unicode.IsPunct(r) || unicode.IsSymbol(r)):
			b.WriteByte('\\') // CommonMark 0.31, section 2.4
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// oneLine has no control characters, nor those that turn the direction of the
// text around them, and a single space where there was white space.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, logline.Clean(s))
	return strings.Join(strings.Fields(s), " ")
}

// Column is a column of a table.
type Column struct {
	Title string // is escaped
	Right bool   // for numbers
}

// WriteTable writes a table and an empty line before it. Cells are Markdown
// without line breaks, such as [Text] and [Code] make; a row may be short.
func WriteTable(w io.Writer, columns []Column, rows [][]string) error {
	titles, rules := make([]string, len(columns)), make([]string, len(columns))
	for i, c := range columns {
		titles[i], rules[i] = Text(c.Title), "---"
		if c.Right {
			rules[i] = "--:"
		}
	}
	var b strings.Builder
	b.WriteByte('\n')
	for _, row := range append([][]string{titles, rules}, rows...) {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
