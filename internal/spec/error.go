package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Errors is all that is wrong with a spec, in the file's order. It is never
// empty when returned as an error, and errors.As finds it or its first [Error].
type Errors []Error

// Error is one thing that is wrong with a spec, and what to do about it.
type Error struct {
	File    string // empty if what is wrong stands in no file
	Line    int    // from 1; 0 when the error is not of one place
	Column  int    // from 1, in characters; 0 when the error is not of one place
	Message string
}

func (e Error) Error() string {
	if e.File == "" {
		return e.Message
	}
	if e.Line == 0 {
		return e.File + ": " + e.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// Error has a line for each error.
func (e Errors) Error() string {
	var lines []string
	for _, err := range e {
		lines = append(lines, err.Error())
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As reach a single Error.
func (e Errors) Unwrap() []error {
	var errs []error
	for _, err := range e {
		errs = append(errs, err)
	}
	return errs
}

// keepInside moves errors from beyond the last line to its end: yaml.v3 counts
// one line more when the file does not end in one (yaml_parser_fetch_stream_end).
func (e Errors) keepInside(lines []string) {
	last := len(lines)
	for i := range e {
		if e[i].Line > last {
			e[i].Line, e[i].Column = last, utf8.RuneCountInString(lines[last-1])+1
		}
	}
}

func (e Errors) sort() {
	slices.SortStableFunc(e, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// maxErrors is how many errors are worth reading. A file that is no spec at all
// may have one on each line.
const maxErrors = 200

// bounded keeps the first errors, and says how many there are besides.
func (e Errors) bounded() Errors {
	if len(e) <= maxErrors {
		return e
	}
	last := e[maxErrors]
	last.Message = fmt.Sprintf("here and below are %d more errors", len(e)-maxErrors)
	return append(e[:maxErrors:maxErrors], last)
}

// quoteLen is how much of a wrong value an error repeats.
const quoteLen = 60

// quote puts s on one line, in quotes, and short enough to read.
func quote(s string) string {
	count := 0
	for i := range s {
		if count == quoteLen {
			return strconv.Quote(s[:i] + "…")
		}
		count++
	}
	return strconv.Quote(s)
}

// instead ends an error about an unknown word with the near one, or with all.
func instead(near, known []string) string {
	if len(near) > 0 {
		return "; did you mean " + quote(near[0]) + "?"
	}
	return "; known: " + strings.Join(known, ", ")
}
