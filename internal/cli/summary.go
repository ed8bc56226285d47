package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/org/nixery-action/internal/actions"
	"github.com/org/nixery-action/internal/build"
	"github.com/org/nixery-action/internal/logline"
	"github.com/org/nixery-action/internal/summary"
)

// tell shows what a step made, or why it failed, on the run's page and as a
// comment, as the inputs say. What goes wrong with that is a warning.
func (c *console) tell(ctx context.Context, inputs actions.Inputs, report *build.Report, err error) {
	page := summary.Page{Title: titleOfPage(buildOptions{Inputs: inputs}), Report: report, Faults: c.remarks(err), Hide: c.stderr.Hide}
	page.Warnings, page.Unkept = c.warnings.Kept()
	if inputs.Summary && c.env.SummaryFile != "" {
		if err := actions.AppendSummary(c.env.SummaryFile, page.Markdown(summary.StepLimit)); err != nil {
			c.log.Warn(err.Error())
		}
	}
	if inputs.Comment && ctx.Err() == nil {
		c.comment(ctx, inputs, page)
	}
}

// titleOfPage tells the pages of several steps apart.
func titleOfPage(o buildOptions) string {
	if o.withoutSpec() {
		return strings.Join(o.Packages, ", ")
	}
	return o.specFile()
}

// remarks are all faults, as in the log.
func (c *console) remarks(err error) []summary.Remark {
	if err == nil {
		return nil
	}
	var all []summary.Remark
	for _, f := range faultsOf(err) {
		place := logline.Place{Line: f.line, Column: f.column}
		if f.file != "" {
			place.File = c.relative(f.file)
		}
		all = append(all, summary.Remark{Place: place.String(), Message: f.message})
	}
	return all
}

// show prints a report for who sits at a terminal; on the page of a workflow's
// run there is a better one.
func (c *console) show(ctx context.Context, report *build.Report) {
	if c.env.InActions || report == nil || !c.log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	fmt.Fprint(c.display.Writer(), summary.Page{Report: report}.Text())
}

// outputFormat is what a build prints on standard output; empty is lines.
type outputFormat string

const (
	linesFormat outputFormat = "text"
	jsonFormat  outputFormat = "json"
)

func (f outputFormat) check() error {
	if f != "" && f != linesFormat && f != jsonFormat {
		return usagef("--format %q: want %s or %s", string(f), linesFormat, jsonFormat)
	}
	return nil
}

// print prints a report: its JSON, or a line for each reference.
func (f outputFormat) print(w io.Writer, r *build.Report) error {
	if f == jsonFormat {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	return printReport(w, r)
}
