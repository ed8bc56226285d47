package logline

import (
	"log/slog"
	"strconv"
	"strings"
	"unicode"
)

// Notice is a level between information and warning: what a user may want to know
// of a run that does as it was told. A workflow's page shows it.
const Notice = slog.LevelInfo + 2

// Line is a log record made flat.
type Line struct {
	Level   slog.Level
	Message string // may hold newlines
	Place   Place
	Title   string // from the attribute "title"
	Attrs   []Attr // in the order given, without those that became Place and Title
}

// Place is where in a file of the user the line points, from the attributes
// "file", "line" and "col". Zero fields are not known.
type Place struct {
	File         string
	Line, Column int // from one
}

// Attr is an attribute; the names of its groups, with dots, lead the key.
type Attr struct{ Key, Value string }

// String is the line for people, without its level: place, title, message, and
// key=value for each attribute, quoted where it would not read as one word.
func (l Line) String() string {
	var b strings.Builder
	if place := l.Place.String(); place != "" {
		b.WriteString(place + ": ")
	}
	if l.Title != "" {
		b.WriteString(l.Title + ": ")
	}
	b.WriteString(l.Body())
	return b.String()
}

// Body is the message and the attributes, without place and title.
func (l Line) Body() string {
	var b strings.Builder
	b.WriteString(l.Message)
	for _, attr := range l.Attrs {
		b.WriteString(" " + attr.Key + "=" + quoted(attr.Value))
	}
	return b.String()
}

// String is file:line:column as compilers write it, or as much as is known.
func (p Place) String() string {
	if p.File == "" || p.Line == 0 {
		return p.File
	}
	s := p.File + ":" + strconv.Itoa(p.Line)
	if p.Column > 0 {
		s += ":" + strconv.Itoa(p.Column)
	}
	return s
}

func (l *Line) add(group string, attr slog.Attr) {
	value := attr.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		if attr.Key != "" {
			group += attr.Key + "."
		}
		for _, member := range value.Group() {
			l.add(group, member)
		}
		return
	}
	if attr.Equal(slog.Attr{}) || group == "" && l.setSpecial(attr.Key, value) {
		return
	}
	l.Attrs = append(l.Attrs, Attr{Clean(group + attr.Key), Clean(value.String())})
}

// setSpecial takes the attributes that are more than text. One of an unexpected
// type stays an ordinary attribute, so nothing that was logged is lost.
func (l *Line) setSpecial(key string, value slog.Value) bool {
	switch {
	case key == "file" && value.Kind() == slog.KindString:
		l.Place.File = oneLine(value.String())
	case key == "line" && value.Kind() == slog.KindInt64:
		l.Place.Line = int(value.Int64())
	case key == "col" && value.Kind() == slog.KindInt64:
		l.Place.Column = int(value.Int64())
	case key == "title" && value.Kind() == slog.KindString:
		l.Title = oneLine(value.String())
	default:
		return false
	}
	return true
}

func quoted(value string) string {
	special := func(r rune) bool { return unicode.IsSpace(r) || r == '"' || r == '=' || !unicode.IsPrint(r) }
	if value == "" || strings.ContainsFunc(value, special) {
		return strconv.Quote(value)
	}
	return value
}
