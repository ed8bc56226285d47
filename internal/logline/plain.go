package logline

import (
	"io"
	"log/slog"
	"sync"
)

const (
	red    = "\x1b[1;31m"
	yellow = "\x1b[1;33m"
	faint  = "\x1b[2m"
	reset  = "\x1b[0m"
)

// NewPlain returns a handler that writes each record to w as a line, in one call
// of Write. Warnings and errors begin with their level. color says whether w
// is a terminal whose user wants colours.
func NewPlain(w io.Writer, level slog.Leveler, color bool) *Handler {
	var mu sync.Mutex
	return NewHandler(level, func(line Line) error {
		mu.Lock()
		defer mu.Unlock()
		_, err := io.WriteString(w, plain(line, color)+"\n")
		return err
	})
}

func plain(line Line, color bool) string {
	paint := func(style, text string) string {
		if !color {
			return text
		}
		return style + text + reset
	}
	switch {
	case line.Level >= slog.LevelError:
		return paint(red, "error:") + " " + line.String()
	case line.Level >= slog.LevelWarn:
		return paint(yellow, "warning:") + " " + line.String()
	case line.Level >= slog.LevelInfo:
		return line.String()
	default:
		return paint(faint, line.String())
	}
}
