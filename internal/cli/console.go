package cli

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/org/nixery-action/internal/actions"
	"github.com/org/nixery-action/internal/build"
	"github.com/org/nixery-action/internal/logline"
	"github.com/org/nixery-action/internal/progress"
	"github.com/org/nixery-action/internal/redact"
	"github.com/org/nixery-action/internal/scratch"
	"github.com/org/nixery-action/internal/summary"
)

// console is where the program speaks: results on stdout; log and progress on
// stderr, for a terminal, a file or the runner. Secrets that it knows are
// taken out of all that goes to stderr; results hold none.
type console struct {
	stdout  io.Writer
	stderr  *redact.Writer
	display *progress.Display
	log     *slog.Logger
	level   *slog.LevelVar
	env     actions.Environment
	hidden  sync.Map // secrets that are hidden

	warnings summary.Warnings // of the run so far
}

func newConsole() *console {
	c := openConsole()
	if err := c.hideEnvironment(os.Getenv); err != nil {
		c.log.Warn("the runner does not know which tokens to hide", "cause", err)
	}
	return c
}

func openConsole() *console {
	c := &console{stdout: os.Stdout, stderr: redact.NewWriter(os.Stderr), env: actions.Detect(os.Getenv), level: new(slog.LevelVar)}
	if c.env.Debug {
		c.level.Set(slog.LevelDebug)
	}
	if c.env.InActions {
		c.display = progress.Open(actions.NewPlainWriter(c.stderr), os.Stderr, false)
		c.display.Fold(progress.Fold{
			Begin: func(title string) { _ = actions.StartGroup(c.stderr, title) },
			End:   func() { _ = actions.EndGroup(c.stderr) },
		})
		c.log = slog.New(c.warnings.Handler(actions.NewHandler(c.stderr, c.level, c.display.Aside)))
		return c
	}
	live, color := progress.Terminal(os.Stderr, os.Getenv)
	c.display = progress.Open(c.stderr, os.Stderr, live)
	c.log = slog.New(logline.NewPlain(c.display.Writer(), c.level, color))
	return c
}

// sweep removes what runs that were killed have left where this one has its temporary files.
func (c *console) sweep() { scratch.Sweep(c.log, c.env.TempDir, os.TempDir()) }

// speak sets how much is said. Errors are always told.
func (c *console) speak(debug, quiet bool) {
	switch {
	case debug:
		c.level.Set(slog.LevelDebug)
	case quiet:
		c.level.Set(slog.LevelWarn)
		c.display.Mute()
	}
}

func (c *console) close() {
	c.display.Close()
	c.stderr.Flush()
}

// troubleshooting is the page that a failed run links.
const troubleshooting = "https://github.com/org/nixery-action/blob/main/docs/troubleshooting.md"

// exit says what went wrong and returns the exit code: 0 all is well, 1 failed,
// 2 the command line or the spec must be changed.
func (c *console) exit(err error) int {
	c.display.Close() // stages that failed have no more to say
	if err == nil {
		return 0
	}
	for _, f := range faultsOf(err) {
		c.log.Error(f.message, c.attrs(f)...)
	}
	if isBadInput(err) {
		return 2
	}
	if _, stopped := errors.AsType[interruption](err); !stopped {
		c.log.Info("causes and remedies: " + troubleshooting)
	}
	return 1
}

// warn tells what is most likely wrong with an image, at its place in the spec.
func (c *console) warn(file string, w build.Warning) {
	f := fault{title: w.Title, message: w.Message}
	if file != "" && w.Pos.Line > 0 {
		f.file, f.line, f.column = file, w.Pos.Line, w.Pos.Column
	}
	c.log.Warn(f.message, c.attrs(f)...)
}

// attrs are a fault's place, and its title where titles are shown apart from messages.
func (c *console) attrs(f fault) []any {
	var attrs []any
	if f.file != "" {
		attrs = append(attrs, "file", c.relative(f.file))
	}
	if f.line > 0 {
		attrs = append(attrs, "line", f.line, "col", f.column)
	}
	if f.title != "" && c.env.InActions {
		attrs = append(attrs, "title", f.title)
	}
	return attrs
}

// relative names a file as annotations want it: from the checkout.
func (c *console) relative(file string) string {
	if c.env.Workspace == "" {
		return file
	}
	abs, err := filepath.Abs(file)
	if err != nil {
		return file
	}
	if rel, err := filepath.Rel(c.env.Workspace, abs); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return file
}
