//go:build e2e

package explain

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// browser is a page in a headless Chromium, and what it did that it should not.
type browser struct {
	t    *testing.T
	ctx  context.Context
	file string

	mu         sync.Mutex
	complaints []string
}

// open shows plans in a browser of its own. At the end of the test the page must
// not have complained, run what is not its own, or asked the network for anything.
func open(t *testing.T, plans ...Explanation) *browser {
	t.Helper()
	var html bytes.Buffer
	if err := WriteHTML(&html, plans); err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, file: filepath.Join(t.TempDir(), "plan.html")}
	if err := os.WriteFile(b.file, html.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.NoSandbox, // root has no sandbox, and the page is ours
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.WindowSize(1200, 900))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	b.ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	chromedp.ListenTarget(b.ctx, b.hear)
	b.run(log.Enable(), network.Enable(), chromedp.Navigate("file://"+b.file))
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, c := range b.complaints {
			t.Error(c)
		}
	})
	return b
}

func (b *browser) hear(event any) {
	complain := func(format string, args ...any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.complaints = append(b.complaints, fmt.Sprintf(format, args...))
	}
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if e.Request.URL != "file://"+b.file {
			complain("the page asked for %s", e.Request.URL)
		}
	case *log.EventEntryAdded:
		complain("log: %s: %s", e.Entry.Level, e.Entry.Text)
	case *runtime.EventConsoleAPICalled:
		complain("console.%s was called", e.Type)
	case *runtime.EventExceptionThrown:
		complain("exception: %s", e.ExceptionDetails)
	case *cdppage.EventJavascriptDialogOpening:
		complain("a dialog says %q", e.Message)
		go chromedp.Run(b.ctx, cdppage.HandleJavaScriptDialog(true))
	}
}

func (b *browser) run(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// want evaluates an expression in the page, and compares its JSON.
func (b *browser) want(expression, want string) {
	b.t.Helper()
	if got := b.eval(expression); got != want {
		b.t.Errorf("%s is %s, want %s", expression, got, want)
	}
}

func (b *browser) eval(expression string) string {
	b.t.Helper()
	var got json.RawMessage
	b.run(chromedp.Evaluate(expression, &got))
	return string(got)
}

const (
	rows   = `document.querySelectorAll("table.layers tbody tr:not([hidden])").length`
	lit    = `document.querySelectorAll(".cell:not(.dim)").length`
	active = `document.activeElement.id`
)

func TestPageSearches(t *testing.T) {
	b := open(t, explained(big(t), 20))
	b.want(rows, "20")
	b.want(lit, "154")
	b.run(chromedp.SendKeys("#search", "LibSSL"))
	b.want(rows, "1")
	b.want(lit, "1")
	b.want(`document.getElementById("found").textContent`, `"1 path in 1 layer"`)
	b.want(`document.querySelector("tr:not([hidden]) details").open`, "true")
	b.run(chromedp.SendKeys("#search", "-nothing-has-this-name"))
	b.want(rows, "0")
	b.run(chromedp.SendKeys("#search", kb.Escape))
	b.want(rows, "20")
	b.want(`document.getElementById("found").textContent`, `""`)
}

func TestPageByKeyboard(t *testing.T) {
	b := open(t, explained(big(t), 20))
	// Tab: search, link to the table, map, first row: the map is one stop.
	b.run(chromedp.KeyEvent(kb.Tab))
	b.want(active, `"search"`)
	b.run(chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Tab))
	b.want(active, `"map-1-1"`)
	b.run(chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent(kb.ArrowDown), chromedp.KeyEvent(kb.ArrowLeft))
	b.want(active, `"map-1-2"`)
	b.want(`document.querySelector(".hover").textContent.startsWith("Layer 2, 5.9 MB, 2.2%, heavy, 1 path: libssl3")`, "true")
	b.want(`getComputedStyle(document.querySelector("#map-1-2 .edge")).strokeWidth`, `"4px"`)
	b.run(chromedp.KeyEvent(kb.End))
	b.want(active, `"map-1-20"`)
	b.run(chromedp.KeyEvent(kb.ArrowRight))
	b.want(active, `"map-1-20"`)
	b.run(chromedp.KeyEvent(kb.Enter))
	b.want(active, `"layer-1-20"`)
	b.want(`document.querySelector("#layer-1-20 details").open`, "true")
	// Back to the map by the row's own link.
	b.run(chromedp.KeyEvent(kb.Tab))
	b.want(`document.activeElement.getAttribute("aria-label")`, `"Layer 20 on the map"`)
	b.run(chromedp.KeyEvent(kb.Enter))
	b.want("location.hash", `"#map-1-20"`)
	b.want(active, `"map-1-20"`)
}

// The accessibility tree is what a screen reader gets.
func TestPageForScreenReaders(t *testing.T) {
	b := open(t, explained(big(t), 20))
	var nodes []*accessibility.Node
	b.run(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		nodes, err = accessibility.GetFullAXTree().Do(ctx)
		return err
	}))
	count, names := map[string]int{}, map[string]bool{}
	for _, n := range nodes {
		if n.Ignored || n.Role == nil || n.Name == nil {
			continue
		}
		var role, name string
		_ = json.Unmarshal(n.Role.Value, &role)
		_ = json.Unmarshal(n.Name.Value, &name)
		count[role]++
		names[name] = true
		if name == "" && slices.Contains([]string{"table", "link", "searchbox", "heading", "region"}, role) {
			t.Errorf("a %s has no name", role)
		}
		count[role+" "+strings.TrimRight(strings.SplitN(name, ",", 2)[0], "0123456789")]++
	}
	for what, want := range map[string]int{
		"table": 2, "table Layers": 1, "table What a rebuild costs": 1, "searchbox Find a store path": 1, "link Layer ": 20,
		"link Layer 1 on the map": 1, "rowheader": 22, "columnheader": 13, "status": 1,
	} {
		if count[what] != want {
			t.Errorf("%d of %q, want %d", count[what], what, want)
		}
	}
	if names["libc6-2.36-9+deb12u14, 13.9 MB"] || !names["13.9 MB"] {
		t.Error("cells of the map are read out beside the table, or sizes in the table are not")
	}
}

// Names stay names: no dialog opens, nothing is asked for.
func TestPageWithHostileNames(t *testing.T) {
	b := open(t, hostilePlans()...)
	b.want(rows, "10")
	b.want(`document.querySelectorAll("img, script").length`, "1")
	b.run(chromedp.SendKeys("#search", "<script>"))
	b.want(rows, "10")
	b.want(`document.querySelector("h2").textContent.includes("<script>alert(1)</script>")`, "true")
}

// A script that is not the page's own does not run: the policy is in force.
func TestPagePolicyIsInForce(t *testing.T) {
	b := open(t, explained(small(), 4))
	b.want(`(() => { const s = document.createElement("script"); s.textContent = "window.ran = true"; document.body.append(s); return window.ran === true })()`, "false")
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.complaints) != 1 || !strings.Contains(b.complaints[0], "Content Security Policy") {
		t.Errorf("got %q", b.complaints)
	}
	b.complaints = nil
}

// shows tells whether the first element that a selector finds has a place on the
// screen; it needs no script to find out.
func (b *browser) shows(selector string) bool {
	b.t.Helper()
	var nodes []*cdp.Node
	b.run(chromedp.Nodes(selector, &nodes, chromedp.ByQuery))
	err := chromedp.Run(b.ctx, chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := dom.GetBoxModel().WithNodeID(nodes[0].NodeID).Do(ctx)
		return err
	}))
	return err == nil
}

func TestPageWithoutScript(t *testing.T) {
	b := open(t, explained(small(), 4))
	if !b.shows("#search") || !b.shows(".help") {
		t.Error("with a script there is a search, and help on the keys")
	}
	b.run(emulation.SetScriptExecutionDisabled(true), chromedp.Reload())
	for selector, want := range map[string]bool{
		"#search": false, ".help": false, "svg.map": true, "#layer-1-4": true, "#layer-1-4 summary": true, "table.rebuild": true,
	} {
		if b.shows(selector) != want {
			t.Errorf("without a script, %s shows: %v", selector, !want)
		}
	}
}

// contrast is the least ratio of WCAG 2.1 between text on the map and what it
// lies on.
const contrast = `(() => {
	const light = (color) => {
		const [r, g, b] = color.match(/[\d.]+/g).slice(0, 3).map((c) => c / 255).map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
	const style = (el) => getComputedStyle(el);
	const map = [...document.querySelectorAll(".cell text:not(.size)")].map((t) => ratio(style(t).fill, style(t.parentNode.querySelector("rect")).fill));
	const tags = [...document.querySelectorAll(".tier")].map((t) => ratio(style(t).color, style(t).backgroundColor));
	const page = [...document.querySelectorAll("p, th, a:not(.map a)")].map((t) => ratio(style(t).color, style(document.body).backgroundColor));
	return Math.min(...map, ...tags, ...page) >= 4.5;
})()`

func TestPageInLightAndDark(t *testing.T) {
	b := open(t, explained(big(t), 20))
	var backgrounds []string
	for _, scheme := range []string{"light", "dark"} {
		b.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
		b.want(contrast, "true")
		backgrounds = append(backgrounds, b.eval("getComputedStyle(document.body).backgroundColor"))
	}
	if backgrounds[0] == backgrounds[1] {
		t.Errorf("light and dark are both %s", backgrounds[0])
	}
}
