package serve

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/org/nixery-action/internal/logline"
	"github.com/org/nixery-action/internal/redact"
)

const (
	maxLines = 200 // of a build's log
	maxLine  = 500 // bytes
)

// buildLog is a build's log: its last lines, without secrets and control characters.
type buildLog struct {
	secrets []string
	safe    *redact.Writer // to the lines

	mu    sync.Mutex
	lines []string
	rest  []byte
}

func newBuildLog(secrets []string) *buildLog {
	j := &buildLog{secrets: secrets}
	j.safe = redact.NewWriter(lineWriter{j}, secrets...)
	return j
}

// Write implements [io.Writer]. Bytes may be cut into writes in any way.
func (j *buildLog) Write(p []byte) (int, error) { return j.safe.Write(p) }

// plain is a text without control characters and secrets, which may be shown to strangers.
func (j *buildLog) plain(text string) string { return plain(text, j.secrets) }

type lineWriter struct{ *buildLog }

func (w lineWriter) Write(p []byte) (int, error) {
	j := w.buildLog
	j.mu.Lock()
	defer j.mu.Unlock()
	j.rest = append(j.rest, p...)
	for {
		line, rest, whole := bytes.Cut(j.rest, []byte("\n"))
		if !whole && len(j.rest) <= 2*maxLine {
			return len(p), nil
		}
		j.add(string(line[:min(len(line), maxLine)]))
		if j.rest = slices.Clone(rest); !whole {
			j.rest = nil
		}
	}
}

func (j *buildLog) add(line string) {
	if line = strings.TrimRight(logline.Clean(line), " \t\n"); line == "" {
		return
	}
	if len(j.lines) == maxLines {
		j.lines = j.lines[1:]
	}
	j.lines = append(j.lines, line)
}

// last returns a copy of the lines.
func (j *buildLog) last() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

func plain(text string, secrets []string) string {
	var clean bytes.Buffer
	w := redact.NewWriter(&clean, secrets...)
	_, _ = w.Write([]byte(logline.Clean(text))) // a buffer takes all
	_ = w.Flush()
	return clean.String()
}

// fork hands records on to two handlers: the server's log, and a build's own.
type fork struct{ main, own slog.Handler }

func (f fork) Enabled(ctx context.Context, level slog.Level) bool {
	return f.main.Enabled(ctx, level) || f.own.Enabled(ctx, level)
}

func (f fork) Handle(ctx context.Context, record slog.Record) error {
	for _, h := range []slog.Handler{f.own, f.main} {
		if h.Enabled(ctx, record.Level) {
			if err := h.Handle(ctx, record.Clone()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f fork) WithAttrs(attrs []slog.Attr) slog.Handler {
	return fork{f.main.WithAttrs(attrs), f.own.WithAttrs(attrs)}
}

func (f fork) WithGroup(name string) slog.Handler {
	return fork{f.main.WithGroup(name), f.own.WithGroup(name)}
}
