package summary

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	unsafe "github.com/yuin/goldmark/renderer/html"
	"golang.org/x/net/html"

	"github.com/org/nixery-action/internal/explain"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/report"
)

func hash(n int) v1.Hash { return v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%064x", n)} }

func storePath(n int, name string) nix.StorePath {
	return nix.StorePath(fmt.Sprintf("%s/%032d-%s", nix.StoreDir, n, name))
}

// box is an image for two platforms, of which three layers in four were there.
func box() *report.Report {
	platform := func(name string, own int) report.Platform {
		return report.Platform{Platform: name, Digest: hash(own), Size: 4_000_000, UnpackedSize: 9_000_000, Layers: []report.Layer{
			{Digest: hash(1), Size: 1_000_000, Paths: []nix.StorePath{storePath(1, "lib-1.0"), storePath(2, "big-2.0")}, NarSizes: []int64{10, 2_000_000}},
			{Digest: hash(own + 1), Size: 3_000_000, Paths: []nix.StorePath{}, NarSizes: []int64{}},
		}}
	}
	return &report.Report{
		Images: []report.Image{{
			Name: "box", Digest: hash(9), Tags: []string{"ghcr.io/acme/box:v1", "ghcr.io/acme/box:latest"},
			Platforms: []report.Platform{platform("linux/amd64", 10), platform("linux/arm64/v8", 20)},
		}},
		Source: report.Source{Source: "channel nixos-25.11", Pinned: "nixpkgs commit 1f"},
		Run: report.Run{Seconds: 75, Images: []report.ImageRun{{Name: "box", Seconds: 12.34, Layers: []report.LayerRun{
			{Digest: hash(1), Status: report.Existing}, {Digest: hash(11), Status: report.Uploaded}, {Digest: hash(21), Status: report.Mounted},
		}}}},
	}
}

func contents(sizes map[string]int64) explain.Contents {
	c := explain.Contents{Platform: "linux/amd64", Compressed: true, Sizes: map[nix.StorePath]int64{}}
	for i, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range sizes {
			if !yield(name) {
				return
			}
		}
	}) {
		path := storePath(i, name)
		c.Layers = append(c.Layers, explain.Content{ID: name, Size: 100, Paths: []nix.StorePath{path}})
		c.Sizes[path] = sizes[name]
	}
	return c
}

var changed = &report.Changes{Change: report.Changed, Previous: "ghcr.io/acme/box:v1", Old: hash(8).String(), Platforms: []explain.Difference{explain.Compare(
	contents(map[string]int64{"openssl-3.0.13": 6_000_000, "tree-2.1": 100_000}), contents(map[string]int64{"openssl-3.0.15": 6_012_000, "jq-1.7": 200_000}))}}

var gfm = goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(unsafe.WithUnsafe()))

// shown is a page as a reader sees it: the text of each cell, line, title and
// paragraph. Of elements it may have those that we write, and no others.
func shown(t *testing.T, source string) []string {
	t.Helper()
	var page bytes.Buffer
	if err := gfm.Convert([]byte(source), &page); err != nil {
		t.Fatal(err)
	}
	ours := strings.Fields("h3 h4 p table thead tbody tr th td code pre details summary strong ul li")
	var texts []string
	for tokens := html.NewTokenizer(&page); ; {
		kind, token := tokens.Next(), tokens.Token()
		switch {
		case kind == html.ErrorToken:
			return slices.DeleteFunc(texts, func(s string) bool { return s == "" })
		case kind == html.TextToken:
			texts[len(texts)-1] += strings.Trim(strings.ReplaceAll(token.Data, "\u200B", ""), "\n")
		case kind == html.StartTagToken && !slices.Contains(ours, token.Data), kind == html.CommentToken, kind == html.SelfClosingTagToken:
			t.Errorf("the page has %s", token)
		case kind == html.StartTagToken && token.Data != "code" && token.Data != "strong":
			texts = append(texts, "")
		}
	}
}

func TestMarkdown(t *testing.T) {
	r := box()
	r.Run.Images[0].Changes = changed
	page := Page{Title: "nixery.yaml", Report: r, Warnings: []Remark{{Message: "trying again"}}, Unkept: 2}
	got := shown(t, page.Markdown(StepLimit))
	text := strings.Join(got, "\n")
	for _, want := range []string{
		"Images of Nix packages: nixery.yaml",
		"ghcr.io/acme/box:v1\nlinux/amd64\n4.0 MB\n9.0 MB\n2\n12.3 s\n",
		"linux/arm64/v8\n4.0 MB\n9.0 MB\n2",
		"\nghcr.io/acme/box@" + hash(9).String() + "\n███████████░░░░░░░░░ 57 % reused: 4.0 MB of 7.0 MB, 2 of 3 layers",
		"What changed since ghcr.io/acme/box:v1 was " + hash(8).String() + ":",
		"linux/amd64: 1 updated, 1 added, 1 removed",
		"updated\nopenssl\n3.0.13\n3.0.15\n6.0 MB (+12.0 kB)",
		"docker pull ghcr.io/acme/box@" + hash(9).String() + "\ndocker pull ghcr.io/acme/box@" + hash(10).String() + "  # linux/amd64 only",
		"2 layers for linux/amd64",
		"1\n1.0 MB\n2.0 MB\n2\nbig-2.0, lib-1.0\nexisting\n2\n3.0 MB\n0 B\n0\nlinks to the packages\nuploaded",
		"Package source: channel nixos-25.11, nixpkgs commit 1f",
		"3 warnings", "trying again", "… and 2 more, in the log",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestMarkdownOfOtherChanges(t *testing.T) {
	for what, want := range map[report.ChangeKind]string{
		report.First:  "This is the first image under ghcr.io/acme/box:v1.",
		report.Same:   "Nothing changed: ghcr.io/acme/box:v1 had this digest already.",
		report.Unread: "ghcr.io/acme/box:v1 was sha256:0, which could not be read to compare.",
	} {
		r := box()
		r.Run.Images[0].Changes = &report.Changes{Change: what, Previous: "ghcr.io/acme/box:v1", Old: "sha256:0"}
		if text := shown(t, Page{Report: r}.Markdown(StepLimit)); !slices.Contains(text, want) {
			t.Errorf("%s: got %q, want %q", what, text, want)
		}
	}
	r := box()
	for i := range r.Run.Images[0].Layers {
		r.Run.Images[0].Layers[i].Status = report.Built
	}
	if page := (Page{Report: r}).Markdown(StepLimit); strings.Contains(page, "docker pull") || strings.Contains(page, "first image") {
		t.Errorf("nothing was pushed, but it says\n%s", page)
	}
}

func TestMarkdownOfAFailure(t *testing.T) {
	page := Page{Faults: []Remark{{"nixery.yaml:3:5", "package \"ap\" is not known"}, {"", "build failed:\n  last\n\n  words </pre><b>"}}}
	want := []string{"No image was published", `Error nixery.yaml:3:5: package "ap" is not known`, "Error build failed:", "  last\n\n  words </pre><b>"}
	if diff := cmp.Diff(want, shown(t, page.Markdown(StepLimit))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What stands in a page that others trust must not become a part of it.
func TestHostileTextsStayText(t *testing.T) {
	for _, evil := range []string{
		"</details><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "a|b|c", "`code`", "```", "[x](javascript:alert(1))", "</pre><h1>x", "</summary>", "-->",
		"\n\n# title", "@octocat", "https://evil.example",
	} {
		r := box()
		img := &r.Images[0]
		img.Name, img.Tags[0], img.Platforms[0].Platform = evil, "ghcr.io/acme/box:"+evil, evil
		img.Platforms[0].Layers[0].Paths[0] = storePath(1, evil)
		img.Platforms[0].Layers[0].NarSizes[0] = 1 << 30
		r.Source.Source, r.Source.Pinned = evil, evil+" pinned"
		r.Run.Images[0].Layers[0].Status = report.LayerStatus(evil)
		c := *changed
		c.Previous, c.Old = evil, evil
		c.Platforms = []explain.Difference{explain.Compare(contents(map[string]int64{evil + "-1": 1}), contents(map[string]int64{evil + "-2": 2}))}
		c.Platforms[0].Platform = evil
		r.Run.Images[0].Changes = &c
		page := Page{Title: evil, Report: r, Warnings: []Remark{{evil, evil + "\n" + evil}}, Faults: []Remark{{evil, evil + "\n" + evil}}}
		text := strings.Join(shown(t, page.Markdown(StepLimit)), "\n")
		if want := strings.Join(strings.Fields(evil), " "); strings.Count(text, want) < 8 {
			t.Errorf("%q is there %d times:\n%s", want, strings.Count(text, want), text)
		}
	}
}

func TestSecretsAreHidden(t *testing.T) {
	const secret = "s_e|c*ret"
	r := box()
	r.Source.Source = secret
	page := Page{
		Title: secret, Report: r, Warnings: []Remark{{secret, secret}}, Faults: []Remark{{secret, secret + "\n" + secret}},
		Hide: func(s string) string { return strings.ReplaceAll(s, secret, "***") },
	}
	if text := strings.Join(shown(t, page.Markdown(StepLimit)), "\n"); strings.Contains(text, secret) || strings.Count(text, "***") != 7 {
		t.Errorf("%d times hidden in\n%s", strings.Count(text, "***"), text)
	}
	if strings.Contains(page.Markdown(StepLimit), secret) || strings.Contains(page.Text(), secret) {
		t.Error("a secret came out")
	}
}

// Wherever a text is cut, no beginning of a secret is left.
func TestSecretsAreHiddenBeforeTextsAreCut(t *testing.T) {
	const secret = "hunter2hunter2hunter2"
	hide := func(s string) string { return strings.ReplaceAll(s, secret, "***") }
	for _, cut := range []int{maxMessage, maxWarning} {
		for before := cut - len(secret); before < cut; before++ {
			var w Warnings
			text := strings.Repeat("x", before) + secret
			slog.New(w.Handler(slog.DiscardHandler)).Warn(text)
			page := Page{Faults: []Remark{{"", text}}, Hide: hide}
			page.Warnings, _ = w.Kept()
			if strings.Contains(page.Markdown(StepLimit), "hunter") {
				t.Fatalf("part of a secret is seen behind %d bytes", before)
			}
		}
	}
}

// large has images of so many layers and store paths in each.
func large(images, layers, paths int) *report.Report {
	r := &report.Report{Source: report.Source{Source: "channel nixos-unstable"}}
	held, sizes, old := make([]nix.StorePath, paths), make([]int64, paths), map[string]int64{}
	now := map[string]int64{}
	for i := range paths {
		held[i], sizes[i] = storePath(i, fmt.Sprintf("package_number-%d-1.2.3", i)), int64(i*7919%1_000_003)
		old[fmt.Sprintf("p%dx-1.2.3", i)], now[fmt.Sprintf("p%dx-1.2.4", i)] = 1, 2
	}
	changes := &report.Changes{Change: report.Changed, Previous: "ghcr.io/acme/box:v1", Old: hash(8).String(), Platforms: []explain.Difference{explain.Compare(contents(old), contents(now))}}
	for i := range images {
		img := report.Image{Name: fmt.Sprintf("image-%d", i), Digest: hash(i), Tags: []string{fmt.Sprintf("ghcr.io/acme/image-%d:latest", i)}}
		for _, name := range []string{"linux/amd64", "linux/arm64/v8"} {
			p := report.Platform{Platform: name}
			for j := range layers {
				p.Layers = append(p.Layers, report.Layer{Digest: hash(i<<20 + j), Size: 1 << 20, Paths: held, NarSizes: sizes})
			}
			img.Platforms = append(img.Platforms, p)
		}
		r.Images = append(r.Images, img)
		r.Run.Images = append(r.Run.Images, report.ImageRun{Changes: changes, Layers: []report.LayerRun{{Status: report.Existing}}})
	}
	return r
}

func TestMarkdownIsShortEnough(t *testing.T) {
	for title, c := range map[string]struct {
		images, layers, paths, limit, least int
	}{
		"20 large images, on a step's page": {20, 300, 3000, StepLimit, StepLimit / 4},
		"20 large images, in a comment":     {20, 300, 3000, CommentLimit, CommentLimit / 4},
		"a large image, in a comment":       {1, 300, 3000, CommentLimit, CommentLimit / 4},
		"2000 small images, in a comment":   {2000, 2, 2, CommentLimit, CommentLimit / 2},
	} {
		t.Run(title, func(t *testing.T) {
			page := Page{Report: large(c.images, c.layers, c.paths)}.Markdown(c.limit)
			t.Logf("%d bytes of %d", len(page), c.limit)
			if len(page) > c.limit || len(page) < c.least || !strings.Contains(page, "… and ") {
				t.Errorf("%d bytes, want %d to %d", len(page), c.least, c.limit)
			}
			if c.images <= 20 && !strings.Contains(page, fmt.Sprintf("image-%d", c.images-1)) {
				t.Error("the last image is not in it")
			}
		})
	}
	long := strings.Repeat("x\n", 10_000)
	if page := (Page{Faults: slices.Repeat([]Remark{{long, long}}, 300)}).Markdown(CommentLimit); len(page) > CommentLimit || !strings.Contains(page, "290 more errors") {
		t.Errorf("%d bytes of errors", len(page))
	}
}

func TestText(t *testing.T) {
	r := box()
	r.Run.Images[0].Changes = changed
	text := Page{Report: r}.Text()
	for _, want := range []string{
		"ghcr.io/acme/box:v1\n  linux/amd64     4.0 MB compressed  9.0 MB unpacked  2 layers\n  linux/arm64/v8  4.0 MB compressed",
		"\n  ███████████░░░░░░░░░ 57 % reused: 4.0 MB of 7.0 MB, 2 of 3 layers (12.3 s)\n",
		"\n  changed since ghcr.io/acme/box:v1 was " + hash(8).String() + ":\n", "openssl  3.0.13 -> 3.0.15",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, " \n") {
		t.Errorf("a line ends with a space:\n%s", text)
	}
	if text := (Page{}).Text(); text != "" {
		t.Errorf("without a report: %q", text)
	}
}

func TestWarnings(t *testing.T) {
	var w Warnings
	var log bytes.Buffer
	l := slog.New(w.Handler(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))).With("a", 1)
	l.Debug("no")
	l.Info("no")
	l.Warn("first", "file", "x.yaml", "line", 3)
	l.Warn("first", "file", "x.yaml", "line", 3)
	l.Error("no")
	kept, unkept := w.Kept()
	if diff := cmp.Diff([]Remark{{"x.yaml:3", "first a=1"}}, kept); diff != "" || unkept != 0 {
		t.Errorf("%d unkept (-want +got):\n%s", unkept, diff)
	}
	if n := strings.Count(log.String(), "\n"); n != 4 || strings.Contains(log.String(), "DEBUG") {
		t.Errorf("%d lines were logged:\n%s", n, &log)
	}
	for i := range 2 * maxWarnings {
		l.Warn(strings.Repeat("long", 2*maxWarning), "i", i, "cause", errors.New("x"))
	}
	for i := range maxWarnings {
		l.Warn(fmt.Sprint(i))
	}
	kept, unkept = w.Kept()
	if len(kept) != maxWarnings || unkept != 2 || len(kept[1].Message) > maxWarning {
		t.Errorf("%d kept, %d not", len(kept), unkept)
	}
}
