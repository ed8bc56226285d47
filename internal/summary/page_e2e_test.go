//go:build e2e

package summary

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/org/nixery-action/internal/explain"
	"github.com/org/nixery-action/internal/report"
)

// style is how GitHub shows a page, as far as it changes what can be read.
const style = `<!DOCTYPE html><meta charset="utf-8"><style>
body { font: 16px/1.5 sans-serif; max-width: 1012px; margin: 32px auto; }
table { border-collapse: collapse; display: block; overflow: auto; } td, th { border: 1px solid #d0d7de; padding: 6px 13px; }
code, pre { font: 85% monospace; background: #f6f8fa; } pre { padding: 16px; overflow: auto; }
</style>`

// view shows Markdown in a browser. The page must ask for nothing and run nothing.
func view(t *testing.T, page string) context.Context {
	t.Helper()
	var html bytes.Buffer
	html.WriteString(style)
	if err := gfm.Convert([]byte(page), &html); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(file, html.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1100, 900))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			if e.Request.URL != "file://"+file {
				t.Errorf("the page asked for %s", e.Request.URL)
			}
		case *log.EventEntryAdded:
			t.Errorf("log: %s", e.Entry.Text)
		case *cdppage.EventJavascriptDialogOpening:
			t.Errorf("a dialog says %q", e.Message)
			go chromedp.Run(ctx, cdppage.HandleJavaScriptDialog(true))
		}
	})
	if err := chromedp.Run(ctx, log.Enable(), network.Enable(), chromedp.Navigate("file://"+file)); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// lines is what an expression in the page gives, a list of texts.
func lines(t *testing.T, ctx context.Context, expression string) []string {
	t.Helper()
	var got []string
	if err := chromedp.Run(ctx, chromedp.Evaluate(expression, &got)); err != nil {
		t.Fatal(err)
	}
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], "\u200B", "")
	}
	return got
}

const (
	rows    = `[...document.querySelectorAll("tbody tr")].map(r => [...r.cells].map(c => c.textContent.trim()).join(" ; "))`
	folds   = `[...document.querySelectorAll("details")].map(d => (d.open ? "open " : "") + d.querySelector("summary").innerText.trim())`
	visible = `document.body.innerText.split("\n").map(l => l.trim()).filter(l => l)`
)

func TestPageOfAnUpdate(t *testing.T) {
	r := box()
	r.Run.Images[0].Changes = changed
	ctx := view(t, Page{Title: "nixery.yaml", Report: r, Warnings: []Remark{{"", "trying again"}}}.Markdown(StepLimit))
	screenshot(t, ctx, "update.png")
	for _, want := range []string{
		"ghcr.io/acme/box:v1 ; linux/amd64 ; 4.0 MB ; 9.0 MB ; 2 ; 12.3 s",
		"updated ; openssl ; 3.0.13 ; 3.0.15 ; 6.0 MB (+12.0 kB)",
		"removed ; tree ; 2.1 ; - ; -100.0 kB",
		"2 ; 3.0 MB ; 0 B ; 0 ; links to the packages ; mounted",
	} {
		if all := lines(t, ctx, rows); !slices.Contains(all, want) {
			t.Errorf("no row is %q:\n%s", want, strings.Join(all, "\n"))
		}
	}
	want := []string{"open linux/amd64: 1 updated, 1 added, 1 removed", "How to pull it", "2 layers for linux/amd64", "2 layers for linux/arm64/v8", "1 warning"}
	if got := lines(t, ctx, folds); !slices.Equal(got, want) {
		t.Errorf("folded parts are %q, want %q", got, want)
	}
	if all := lines(t, ctx, visible); !slices.Contains(all, "███████████░░░░░░░░░ 57 % reused: 4.0 MB of 7.0 MB, 2 of 3 layers") {
		t.Errorf("no bar is seen:\n%s", strings.Join(all, "\n"))
	}
}

func TestPageOfHostileNames(t *testing.T) {
	const evil = `<img src=x onerror=alert(1)>|**b**</details><script>alert(2)</script>@octocat`
	r := box()
	r.Images[0].Platforms[0].Layers[0].Paths[1] = storePath(1, evil)
	r.Run.Images[0].Changes = &report.Changes{Change: report.Changed, Previous: evil, Old: evil, Platforms: []explain.Difference{
		explain.Compare(contents(map[string]int64{"tree-2.1": 1}), contents(map[string]int64{evil + "-1": 5_000_000}))}}
	ctx := view(t, Page{Title: evil, Report: r, Faults: []Remark{{evil, evil + "\n" + evil}}}.Markdown(StepLimit))
	screenshot(t, ctx, "hostile.png")
	if n := lines(t, ctx, `[...document.querySelectorAll("img, script, a")].map(e => e.outerHTML)`); len(n) != 0 {
		t.Errorf("the page has %q", n)
	}
	if err := chromedp.Run(ctx, chromedp.Evaluate(`document.querySelectorAll("details").forEach(d => d.open = true)`, nil)); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(strings.Join(lines(t, ctx, visible), "\n"), evil); n < 8 {
		t.Errorf("the name is seen %d times", n)
	}
}

// screenshot keeps a picture for people, where NIXERY_TEST_PICTURES says.
func screenshot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	var picture []byte
	if err := chromedp.Run(ctx, chromedp.FullScreenshot(&picture, 100)); err != nil {
		t.Fatal(err)
	}
	if len(picture) < 10_000 {
		t.Errorf("%s has %d bytes: the page is empty", name, len(picture))
	}
	if dir := os.Getenv("NIXERY_TEST_PICTURES"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name), picture, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
