package logline

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"
)

func TestPlain(t *testing.T) {
	for _, tc := range []struct {
		name string
		log  func(*slog.Logger)
		want string
	}{
		{"message only", func(l *slog.Logger) { l.Info("pushed") }, "pushed\n"},
		{"attributes", func(l *slog.Logger) { l.Info("pushed", "layers", 3, "to", "ghcr.io/a/b") }, "pushed layers=3 to=ghcr.io/a/b\n"},
		{"quoting", func(l *slog.Logger) { l.Info("m", "a", "x y", "b", "", "c", "k=v", "d", "1\n2") }, `m a="x y" b="" c="k=v" d="1\n2"` + "\n"},
		{"levels", func(l *slog.Logger) { l.Warn("slow"); l.Error("no") }, "warning: slow\nerror: no\n"},
		{"place", func(l *slog.Logger) { l.Error("bad", "file", "a.yaml", "line", 3, "col", 7) }, "error: a.yaml:3:7: bad\n"},
		{"file alone", func(l *slog.Logger) { l.Error("bad", "file", "a.yaml") }, "error: a.yaml: bad\n"},
		{"title", func(l *slog.Logger) { l.Warn("bad", "title", "Spec") }, "warning: Spec: bad\n"},
		{"odd line number", func(l *slog.Logger) { l.Info("m", "line", "x") }, "m line=x\n"},
		{"group", func(l *slog.Logger) { l.WithGroup("g").With("a", 1).Info("m", "file", "f") }, "m g.a=1 g.file=f\n"},
		{"error value", func(l *slog.Logger) { l.Info("m", "err", errors.New("no way")) }, "m err=\"no way\"\n"},
		{"below level", func(l *slog.Logger) { l.Debug("m") }, ""},
		{"escape sequences", func(l *slog.Logger) { l.Info("\x1b[31mred\x1b[0m\r\n\x1b]8;;http://x\x07link\u009b", "k", "\x1b[2J") }, "red\nlink k=\"\"\n"},
		{"invalid UTF-8", func(l *slog.Logger) { l.Info("a\xffb") }, "a\uFFFDb\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var b bytes.Buffer
			tc.log(slog.New(NewPlain(&b, slog.LevelInfo, false)))
			if b.String() != tc.want {
				t.Errorf("got  %q\nwant %q", b.String(), tc.want)
			}
		})
	}
}

func TestPlainColor(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(NewPlain(&b, slog.LevelDebug, true))
	log.Error("no")
	log.Info("yes")
	log.Debug("why")
	want := "\x1b[1;31merror:\x1b[0m no\nyes\n\x1b[2mwhy\x1b[0m\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

// Lines, and children of one parent, must not write into each other's attributes.
func TestNothingIsShared(t *testing.T) {
	var lines []Line
	keep := NewHandler(slog.LevelInfo, func(l Line) error { lines = append(lines, l); return nil })
	parent := slog.New(keep).With("a", 1, "b", 2, "c", 3).With("d", 4, "e", 5)
	first, second := parent.With("f", "first"), parent.With("f", "second")
	first.Info("m", "g", 1)
	second.Info("m", "g", 2)
	first.Info("m", "g", 3)
	for i, want := range []string{"f=first g=1", "f=second g=2", "f=first g=3"} {
		if got := lines[i].String(); got != "m a=1 b=2 c=3 d=4 e=5 "+want {
			t.Errorf("line %d is %q, want the end %q", i, got, want)
		}
	}
}

func TestSlogContract(t *testing.T) {
	var got Line
	slogtest.Run(t,
		func(*testing.T) slog.Handler {
			return NewHandler(slog.LevelInfo, func(l Line) error { got = l; return nil })
		},
		func(t *testing.T) map[string]any { return nested(t, got) })
}

// nested is what slogtest wants to see of a line. Lines have no time, so it
// is added wherever slogtest looks for one.
func nested(t *testing.T, line Line) map[string]any {
	m := map[string]any{slog.MessageKey: line.Message, slog.LevelKey: line.Level}
	if !strings.HasSuffix(t.Name(), "zero-time") {
		m[slog.TimeKey] = "left out"
	}
	for _, attr := range line.Attrs {
		at, keys := m, strings.Split(attr.Key, ".")
		for _, key := range keys[:len(keys)-1] {
			if at[key] == nil {
				at[key] = map[string]any{}
			}
			at = at[key].(map[string]any)
		}
		at[keys[len(keys)-1]] = attr.Value
	}
	return m
}
