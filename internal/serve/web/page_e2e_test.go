//go:build e2e

package web

import (
	"context"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/serve"
)

var pictures = flag.String("pictures", "", "write screenshots of the page to this directory")

// browser is a headless Chromium on a page, and what it did that it should not.
type browser struct {
	t    *testing.T
	ctx  context.Context
	home string

	mu         sync.Mutex
	complaints []string
}

// visit serves a page, and opens it. At the end of the test it must not have complained, run anything, or asked another for anything.
func visit(t *testing.T, o PageOptions) *browser {
	t.Helper()
	s := newStack()
	s.Page = NewPage(o)
	server := httptest.NewServer(Handler(s.Options))
	t.Cleanup(server.Close)
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.NoSandbox, // root has no sandbox, and the page is ours
		chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.WindowSize(1200, 900))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	b := &browser{t: t, home: server.URL + "/"}
	b.ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	chromedp.ListenTarget(b.ctx, b.hear)
	b.run(log.Enable(), network.Enable(), chromedp.Navigate(b.home))
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
		if url := e.Request.URL; url != b.home && !strings.HasPrefix(url, b.home+"?") && url != b.home+"favicon.ico" {
			complain("the page asked for %s", url)
		}
	case *log.EventEntryAdded:
		if !strings.HasSuffix(e.Entry.URL, "/favicon.ico") && e.Entry.Source != log.SourceNetwork {
			complain("log: %s: %s", e.Entry.Level, e.Entry.Text)
		}
	case *runtime.EventConsoleAPICalled:
		complain("console.%s was called", e.Type)
	case *runtime.EventExceptionThrown:
		complain("exception: %s", e.ExceptionDetails)
	case *cdppage.EventJavascriptDialogOpening:
		complain("a dialog says %q", e.Message)
	}
}

func (b *browser) run(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *browser) text(selector string) string {
	b.t.Helper()
	var text string
	b.run(chromedp.Text(selector, &text, chromedp.ByQuery))
	return text
}

// exampleBuilds is one of each kind.
func exampleBuilds() []serve.Build {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	digest := v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0123456789abcdef", 4)}
	both := []string{"amd64", "arm64"}
	return []serve.Build{
		{Name: "shell/git/htop", Tag: "latest", Architectures: both, Format: "docker", Phase: serve.Running, Clients: 2, Asked: began, Began: time.Now(), Log: []string{"evaluating"}},
		{Name: "python3packages.requests", Tag: "release-25.11", Architectures: both, Format: "oci", Phase: serve.Waiting, Clients: 1, Asked: began},
		{Name: "shell/git/" + strings.Repeat("a-package-with-a-long-name/", 5) + "jq", Tag: "latest", Architectures: both, Format: "docker", Phase: serve.Done, Asked: began, Began: began,
			Ended: began.Add(83 * time.Second), Pinned: "nixpkgs 0123456789abcdef0123456789abcdef01234567", Digest: digest, Log: []string{"evaluating: 3 packages", "realising: 3 packages", "publishing: 12.3 MB"}},
		{Name: "htpo", Tag: "latest", Architectures: both, Format: "docker", Phase: serve.Failed, Asked: began, Began: began, Ended: began.Add(1300 * time.Millisecond),
			Err: "package htpo does not exist; did you mean htop?", Log: []string{hostile, strings.Repeat("a very long line ", 40)}},
	}
}

func examplePage() PageOptions {
	return PageOptions{
		Version: "v1.2.3", Builds: exampleBuilds, Allow: []string{"git", "htop", "python3Packages.*"},
		Source: func() (string, string, time.Time) {
			return "channel nixos-unstable", "nixpkgs 0123456789abcdef0123456789abcdef01234567", time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
		},
	}
}

// Without any script, the form makes the command, and says what is wrong.
func TestPageInABrowser(t *testing.T) {
	b := visit(t, examplePage())
	b.run(emulation.SetScriptExecutionDisabled(true), chromedp.Reload(),
		chromedp.SetValue("#packages", "jq git", chromedp.ByQuery), chromedp.Click("form button", chromedp.ByQuery), chromedp.WaitVisible("#command", chromedp.ByQuery))
	host := strings.TrimSuffix(strings.TrimPrefix(b.home, "http://"), "/")
	if got, want := b.text("#command"), "docker pull "+host+"/shell/git/jq\ndocker run --rm -it "+host+"/shell/git/jq bash"; got != want {
		t.Errorf("the command is %q, want %q", got, want)
	}
	b.run(chromedp.SetValue("#packages", hostile, chromedp.ByQuery), chromedp.Click("form button", chromedp.ByQuery), chromedp.WaitVisible("#problem", chromedp.ByQuery))
	if got := b.text("#problem"); !strings.Contains(got, "is not a package's name") {
		t.Errorf("the problem is %q", got)
	}
	b.run(chromedp.Click("li:last-child summary", chromedp.ByQuery), chromedp.WaitVisible("li:last-child pre", chromedp.ByQuery))
	if got := b.text("li:last-child pre"); !strings.Contains(got, "<script>alert(1)</script>") {
		t.Errorf("the log is %q", got)
	}
}

// The style sheet is let in, nothing is wider than the window, and text can be told from its ground.
func TestPageLooks(t *testing.T) {
	for name, look := range map[string]struct {
		width int64
		dark  bool
	}{"wide": {1200, false}, "narrow": {360, false}, "dark": {1200, true}, "narrow-dark": {360, true}} {
		t.Run(name, func(t *testing.T) {
			b := visit(t, examplePage())
			scheme := map[bool]string{true: "dark", false: "light"}[look.dark]
			var wide, inner int64
			var ground string
			var picture []byte
			b.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
				emulation.SetDeviceMetricsOverride(look.width, 900, 1, look.width < 500),
				chromedp.Navigate(b.home+"?packages=jq+git&shell=yes&tag=latest"),
				chromedp.Click("li:nth-child(3) summary", chromedp.ByQuery), chromedp.Click("li:nth-child(4) summary", chromedp.ByQuery),
				chromedp.Evaluate(`document.documentElement.scrollWidth`, &wide), chromedp.Evaluate(`window.innerWidth`, &inner),
				chromedp.Evaluate(`getComputedStyle(document.body).backgroundColor`, &ground), chromedp.FullScreenshot(&picture, 100))
			if wide > look.width || inner != look.width {
				t.Errorf("the page is %d wide in a window of %d, want %d", wide, inner, look.width)
			}
			if want := map[bool]string{true: "rgb(18, 22, 27)", false: "rgb(255, 255, 255)"}[look.dark]; ground != want {
				t.Errorf("the ground is %s, want %s", ground, want)
			}
			if *pictures != "" {
				if err := os.WriteFile(filepath.Join(*pictures, name+".png"), picture, 0o644); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// With script, a click copies the command that is shown.
func TestPageCopiesTheCommand(t *testing.T) {
	b := visit(t, examplePage())
	b.run(chromedp.WaitVisible("#copy", chromedp.ByQuery), chromedp.Click("#copy", chromedp.ByQuery),
		chromedp.WaitVisible(`//button[@id="copy"][text()="Copied"]`, chromedp.BySearch))
}
