package summary

import (
	"fmt"
	"html"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/logline"
	"github.com/org/nixery-action/internal/markdown"
)

// The longest that a text may be within a page, in bytes.
const (
	maxName    = 300
	maxMessage = 4000
)

// pen writes Markdown. Texts that are not ours go through text, code or block.
type pen struct {
	strings.Builder
	hide     func(string) string
	contents map[v1.Hash]content // of layers, once they are known
}

func newPen(hide func(string) string) *pen {
	if hide == nil {
		hide = func(s string) string { return s }
	}
	return &pen{hide: hide, contents: map[v1.Hash]content{}}
}

func (p *pen) printf(format string, args ...any) { fmt.Fprintf(p, format, args...) }

// text is s for a place within a line.
func (p *pen) text(s string) string { return markdown.Text(clip(p.hide(s), maxMessage)) }

// code is a name as it is to be copied, for a place within a line.
func (p *pen) code(s string) string { return markdown.Code(clip(p.hide(s), maxName)) }

// block writes lines as they are. In HTML that begins with <pre> Markdown means
// nothing up to its end (CommonMark 0.31, section 4.6).
func (p *pen) block(s string) {
	p.printf("\n<pre>%s</pre>\n", html.EscapeString(clip(logline.Clean(p.hide(s)), maxMessage)))
}

// plain is s for a place where HTML is read, and no Markdown. Behind @ there is a
// space of no width, as in [markdown.Text].
func (p *pen) plain(s string) string {
	s = html.EscapeString(strings.Join(strings.Fields(logline.Clean(clip(p.hide(s), maxName))), " "))
	return strings.ReplaceAll(s, "@", "@\u200B")
}

// fold begins a part that the reader unfolds, or may fold if it is open; the
// result ends it. The title is HTML: in a line that begins with <details> there is no Markdown.
func (p *pen) fold(title string, open bool) (end func()) {
	tag := "<details>"
	if open {
		tag = "<details open>"
	}
	p.printf("\n%s<summary>%s</summary>\n", tag, title)
	return func() { p.WriteString("\n</details>\n") }
}

// table writes a table, of which rows over the limit are only counted.
func (p *pen) table(columns []markdown.Column, rows [][]string, limit int) {
	shown := rows[:min(limit, len(rows))]
	if len(shown) > 0 {
		_ = markdown.WriteTable(p, columns, shown) // a Builder takes all
	}
	if left := len(rows) - len(shown); left > 0 {
		p.printf("\n… and %d more\n", left)
	}
}

// clip cuts a text that is longer than a number of bytes.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-len("…")], "") + "…"
}
