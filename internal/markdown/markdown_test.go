package markdown

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	unsafe "github.com/yuin/goldmark/renderer/html"
	"golang.org/x/net/html"
)

// hostile are texts that mean something somewhere on GitHub.
var hostile = []string{
	"plain-1.2.3", "a|b", `a\|b`, `a\\|b`, `\`, "`code`", "``", "*bold* _it_ ~~gone~~", "# title", "- item", "1. item", "> quote", "| x |", "---",
	"<script>alert(1)</script>", "</td></table><img src=x onerror=alert(1)>", "<!-- hidden", "</code>", "&lt;b&gt; &amp;", "&#64;", "[x](javascript:alert(1))",
	"![x](https://tracker.example/p.png)", "https://evil.example/x", "www.evil.example", "mail@evil.example", "mailto:mail@evil.example", "@octocat", "a@octocat", "#1", "org/repo#1",
	":smile:", "$x^2$", "^[note]", "[^1]", "[ ]", "[x]", "tab\there", "a'b\"c", "größe ▶ 名", "x  y", "{{template}}", "a=b;c?d!e%f~g",
}

func TestTextIsText(t *testing.T) {
	for _, s := range hostile {
		checkText(t, s)
	}
}

func FuzzText(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(checkText)
}

// checkText tests that in a table's cells, and in a line, a reader sees s and
// nothing but it.
func checkText(t *testing.T, s string) {
	t.Helper()
	want := oneLine(s)
	var table bytes.Buffer
	if err := WriteTable(&table, []Column{{Title: s}, {Title: "n", Right: true}}, [][]string{{Text(s), Code(s)}, {"2"}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{want, "n", want, want, "2", ""}, shown(t, table.String(), "th", "td")); diff != "" {
		t.Errorf("%q: cells (-want +got):\n%s\nof %s", s, diff, table.String())
	}
	for _, inline := range []string{Text(s), Code(s)} {
		if diff := cmp.Diff([]string{"x " + want + " y"}, shown(t, "x "+inline+" y", "p")); diff != "" {
			t.Errorf("%q: a line (-want +got):\n%s\nof %s", s, diff, inline)
		}
	}
}

// gfm renders as GitHub does, which lets pass what HTML it finds harmless.
var gfm = goldmark.New(goldmark.WithExtensions(extension.GFM, extension.Footnote), goldmark.WithRendererOptions(unsafe.WithUnsafe()))

// shown are the texts of those elements of the page that source makes. It must have no
// others, but for code and the rest of a table.
func shown(t *testing.T, source string, elements ...string) []string {
	t.Helper()
	var page bytes.Buffer
	if err := gfm.Convert([]byte(source), &page); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for tokens := html.NewTokenizer(&page); ; {
		kind, token := tokens.Next(), tokens.Token()
		switch {
		case kind == html.ErrorToken:
			return texts
		case kind == html.TextToken && len(texts) > 0:
			texts[len(texts)-1] += strings.Trim(strings.ReplaceAll(token.Data, "\u200B", ""), "\n")
		case kind == html.StartTagToken && slices.Contains(elements, token.Data):
			texts = append(texts, "")
		case kind == html.CommentToken, kind == html.SelfClosingTagToken,
			kind == html.StartTagToken && !slices.Contains([]string{"table", "thead", "tbody", "tr", "code"}, token.Data):
			t.Errorf("%s makes %s", source, token)
		}
	}
}

// What GitHub finds in the rendered text is parted by a space of no width.
func TestTextMentionsNobody(t *testing.T) {
	if got := Text("@octocat #1"); got != "&#64;\u200Boctocat &#35;\u200B1" {
		t.Errorf("got %q", got)
	}
	if got := Code("a@octocat"); got != "<code>a&#64;octocat</code>" {
		t.Errorf("got %q", got)
	}
}

func TestOneLine(t *testing.T) {
	if got := Text(" a\r\n\tb\x00\x1b[31mc\u202Ed\u200Be\xff "); got != "a bcde\uFFFD" {
		t.Errorf("got %q", got)
	}
}
