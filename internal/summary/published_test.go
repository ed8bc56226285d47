package summary

import (
	"strings"
	"testing"

	"github.com/org/nixery-action/internal/report"
)

// A run that moved a tag and then failed says so, and never that there is no image.
func TestPageOfARunThatEndedAmongTags(t *testing.T) {
	old := "sha256:" + strings.Repeat("a", 64)
	page := Page{
		Faults: []Remark{{Message: "pushing a tag: refused"}},
		Report: &report.Report{
			Images: []report.Image{{Name: "box", Tags: []string{"example.com/box:edge"}, Repositories: []string{"example.com/box"}}},
			Run: report.Run{Incomplete: true, Published: []report.Published{{Kind: report.ToLayout, Path: "out"}}, Images: []report.ImageRun{{Tags: []report.TagRun{
				{Tag: "example.com/box:edge", Outcome: "moved", From: old}, {Tag: "example.com/box:v1", Outcome: "refused"},
				{Tag: "example.com/box:v2", Outcome: "unknown"}, {Tag: "example.com/box:latest", Outcome: "untried"},
			}}}},
		},
	}
	got := page.Markdown(StepLimit)
	for _, want := range []string{
		"### Not everything was published", "Published before the failure: <code>type=oci out", "&#58;edge</code> | moved | <code>sha256&#58;aaa",
		"&#58;v1</code> | **refused** |", "&#58;v2</code> | **not known whether set** |", "&#58;latest</code> | not tried |",
	} {
		if !strings.Contains(strings.ReplaceAll(got, `\=`, "="), want) {
			t.Errorf("the page lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "No image") {
		t.Error(got)
	}
	if text := page.Text(); !strings.Contains(text, "tag example.com/box:edge: moved, before "+old+"\n") || !strings.Contains(text, "tag example.com/box:latest: not tried\n") {
		t.Error(text)
	}
}
