// Command pictures turns the Markdown of a run's summary, read from standard
// input, into an HTML page that looks as GitHub shows it, in light and in dark.
// testdata/scripts/pictures takes the screenshots of the README from it.
package main

import (
	"io"
	"log"
	"os"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/renderer/html"
)

// style is written for these pictures; it has GitHub's colours and sizes where they matter to a reader.
const style = `<!DOCTYPE html><meta charset="utf-8"><style>
:root { --text: #1f2328; --page: #fff; --line: #d1d9e0; --code: #f6f8fa; --link: #0969da }
@media (prefers-color-scheme: dark) { :root { --text: #f0f6fc; --page: #0d1117; --line: #3d444d; --code: #151b23; --link: #4493f8 } }
body { font: 14px/1.5 "Noto Sans", "DejaVu Sans", Arial, sans-serif; margin: 24px 32px; color: var(--text); background: var(--page) }
h2, h3 { border-bottom: 1px solid var(--line); padding-bottom: .3em } a { color: var(--link) }
table { border-collapse: collapse; margin: 16px 0 } td, th { border: 1px solid var(--line); padding: 6px 13px }
code, pre { font: 85% "DejaVu Sans Mono", monospace; background: var(--code); border-radius: 6px } code { padding: .2em .4em }
pre { padding: 16px; overflow: hidden } pre code { padding: 0 } p { overflow-wrap: anywhere }
</style>`

func main() {
	log.SetFlags(0)
	source, err := io.ReadAll(os.Stdin)
	if err != nil {
		log.Fatal("pictures: ", err)
	}
	os.Stdout.WriteString(style)
	markdown := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(html.WithUnsafe()))
	if err := markdown.Convert(source, os.Stdout); err != nil {
		log.Fatal("pictures: ", err)
	}
}
