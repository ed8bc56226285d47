package actions

import (
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"

	"github.com/sethvargo/go-githubactions"

	"github.com/org/nixery-action/internal/logline"
)

// What the runner keeps of a step's annotations: so many a level, and so long
// (ExecutionContext.cs in https://github.com/actions/runner).
const (
	mostAnnotations   = 10
	longestAnnotation = 4096 // counted here in bytes, of which there are never fewer
)

// NewHandler returns a handler that writes records to w for the runner: errors, warnings and
// notices ([logline.Notice]) as annotations, at the place in a file that the attributes "file",
// "line" and "col" name and under "title"; debug records as debug lines; the rest as plain lines.
// Annotations that the runner would drop or cut are plain lines too. w is given whole lines, and
// must reach the runner as they are. Annotations are written by aside, which sees to it that they
// are in no group, where they would be folded away.
func NewHandler(w io.Writer, level slog.Leveler, aside func(write func() error) error) *logline.Handler {
	a := &annotator{w: w, aside: aside, left: map[string]int{"error": mostAnnotations, "warning": mostAnnotations, "notice": mostAnnotations}}
	return logline.NewHandler(level, a.emit)
}

type annotator struct {
	mu    sync.Mutex
	w     io.Writer
	aside func(write func() error) error
	left  map[string]int // annotations, by command
}

func (a *annotator) emit(line logline.Line) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	text := a.format(line) + "\n"
	write := func() error {
		_, err := io.WriteString(a.w, text)
		return err
	}
	if line.Level < logline.Notice {
		return write()
	}
	return a.aside(write)
}

func (a *annotator) format(line logline.Line) string {
	switch {
	case line.Level >= slog.LevelError:
		return a.annotation("error", line)
	case line.Level >= slog.LevelWarn:
		return a.annotation("warning", line)
	case line.Level >= logline.Notice:
		return a.annotation("notice", line)
	case line.Level >= slog.LevelInfo:
		return plain(line.String())
	default:
		return command("debug", line.String(), nil)
	}
}

func (a *annotator) annotation(name string, line logline.Line) string {
	whole := plain(name + ": " + line.String())
	if a.left[name] == 0 {
		return whole
	}
	a.left[name]--
	text := command(name, shorten(line.Body()), properties(line))
	if len(line.Body()) > longestAnnotation {
		return whole + "\n" + text
	}
	return text
}

func properties(line logline.Line) githubactions.CommandProperties {
	p := githubactions.CommandProperties{}
	for key, value := range map[string]string{
		"file":  line.Place.File,
		"line":  strconv.Itoa(line.Place.Line),
		"col":   strconv.Itoa(line.Place.Column),
		"title": line.Title,
	} {
		if value != "" && value != "0" {
			p[key] = value
		}
	}
	return p
}

// shorten cuts between words where it can: secrets are taken out of what comes of
// it, and of a part of one is not known to be secret.
func shorten(text string) string {
	if len(text) <= longestAnnotation {
		return text
	}
	short := text[:longestAnnotation-len("…")]
	if end := strings.LastIndexAny(short, " \n"); end > 0 {
		short = short[:end]
	}
	return strings.ToValidUTF8(short, "") + "…"
}
