package front

import (
	"context"
	"io"
	"log/slog"
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
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.MessageKey:
		a.Key = "message"
	case slog.LevelKey:
		if level, ok := a.Value.Any().(slog.Level); ok {
			return slog.String("severity", severity(level))
		}
	}
	if err, ok := a.Value.Any().(error); ok {
		a.Value = slog.StringValue(err.Error())
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
