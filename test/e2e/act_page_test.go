//go:build e2e

package e2e_test

import (
	"bytes"
	"html"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	markdown "github.com/yuin/goldmark/renderer/html"
)

// ofStep is what one step left behind.
func (a acted) ofStep(id string) acted {
	var step acted
	for _, line := range a.lines {
		if slices.Contains(line.StepID, id) {
			step.lines = append(step.lines, line)
			step.text += line.Msg + "\n"
			step.failed = step.failed || line.StepResult == "failure"
		}
	}
	return step
}

func (a acted) commands(command string) (lines []actLine) {
	for _, line := range a.lines {
		if line.Command == command {
			lines = append(lines, line)
		}
	}
	return lines
}

var tag = regexp.MustCompile(`<[^>]*>`)

// page is what a reader sees of a step's summary: its words, with a blank between any two.
func (a acted) page(t *testing.T) string {
	t.Helper()
	var page bytes.Buffer
	render := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(markdown.WithUnsafe()))
	for _, line := range a.commands("summary") {
		if err := render.Convert([]byte(line.Content), &page); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.ReplaceAll(html.UnescapeString(tag.ReplaceAllString(page.String(), "")), "\u200b", "")
	return strings.Join(strings.Fields(text), " ")
}
