package web

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"unicode"

	"github.com/org/nixery-action/internal/logline"
)

// NewLog returns a handler of JSON lines as Google's log service and its error reporting read them: severity, message, time,
// serviceContext, and for errors the type of an error event, without which they would need a stack trace. See
// https://cloud.google.com/logging/docs/structured-logging and https://cloud.google.com/error-reporting/docs/formatting-error-messages.
func NewLog(w io.Writer, level slog.Leveler, version string) slog.Handler {
	json := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: googleNames})
	context := slog.Group("serviceContext", "service", "nixery-action", "version", version)
	return errorEvents{json.WithAttrs([]slog.Attr{context})}
}

func googleNames(groups []string, a slog.Attr) slog.Attr {
	if err, ok := a.Value.Any().(error); ok {
		a.Value = slog.StringValue(err.Error())
	}
	if a.Value.Kind() == slog.KindString { // JSON escapes most control characters, and not those that terminals know beyond ASCII
		a.Value = slog.StringValue(logline.Clean(a.Value.String()))
	}
	switch {
	case len(groups) > 0:
	case a.Key == slog.MessageKey:
		a.Key = "message"
	case a.Key == slog.LevelKey:
		if level, ok := a.Value.Any().(slog.Level); ok {
			return slog.String("severity", severity(level))
		}
	}
	return a
}

func severity(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return "ERROR"
	case level >= slog.LevelWarn:
		return "WARNING"
	case level >= slog.LevelInfo:
		return "INFO"
	}
	return "DEBUG"
}

// errorEvents marks errors.
type errorEvents struct{ slog.Handler }

func (e errorEvents) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		r = r.Clone()
		r.AddAttrs(slog.String("@type", "type.googleapis.com/google.devtools.clouderrorreporting.v1beta1.ReportedErrorEvent"))
	}
	return e.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (e errorEvents) WithAttrs(attrs []slog.Attr) slog.Handler {
	return errorEvents{e.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (e errorEvents) WithGroup(name string) slog.Handler {
	return errorEvents{e.Handler.WithGroup(name)}
}

// NewTextLog returns a handler whose records are a line each, whatever clients and builders wrote: a newline in a message is shown as
// \n, and so is every other character that is not printed. Values of attributes are quoted by h, which is one of logline's.
func NewTextLog(h slog.Handler) slog.Handler { return oneLine{h} }

type oneLine struct{ slog.Handler }

func (o oneLine) Handle(ctx context.Context, r slog.Record) error {
	r = r.Clone()
	r.Message = printable(logline.Clean(r.Message))
	return o.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (o oneLine) WithAttrs(attrs []slog.Attr) slog.Handler {
	return oneLine{o.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (o oneLine) WithGroup(name string) slog.Handler { return oneLine{o.Handler.WithGroup(name)} }

func printable(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}
