// Package logline turns log records into flat lines of text. The terminal and
// the workflow's log write them differently, and both start from a [Line]: one
// level, one message, and attributes whose groups are already in their keys.
//
// A Line holds no control character but newline and tab, whatever was logged.
package logline

import (
	"context"
	"log/slog"
	"slices"
)

// Handler is a [slog.Handler] that hands each record on as a [Line]. Records'
// times are dropped: whoever reads the line has a clock.
type Handler struct {
	level slog.Leveler
	emit  func(Line) error
	base  Line
	group string
}

// NewHandler returns a handler of the records at level and above. emit is called
// from many goroutines at once; what it returns is what Handle returns.
func NewHandler(level slog.Leveler, emit func(Line) error) *Handler {
	return &Handler{level: level, emit: emit}
}

// Enabled says whether records of this level are handled.
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

// Handle emits the record as one Line.
func (h *Handler) Handle(_ context.Context, record slog.Record) error {
	line := h.base.clone()
	line.Level = record.Level
	line.Message = Clean(record.Message)
	record.Attrs(func(attr slog.Attr) bool {
		line.add(h.group, attr)
		return true
	})
	return h.emit(line)
}

// WithAttrs returns a handler whose lines all carry attrs.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	child := *h
	child.base = h.base.clone()
	for _, attr := range attrs {
		child.base.add(h.group, attr)
	}
	return &child
}

// WithGroup returns a handler that puts name and a dot before later keys.
func (h *Handler) WithGroup(name string) slog.Handler {
	child := *h
	if name != "" {
		child.group += name + "."
	}
	return &child
}

func (l Line) clone() Line {
	l.Attrs = slices.Clone(l.Attrs)
	return l
}
