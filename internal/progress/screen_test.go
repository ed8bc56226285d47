package progress

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// screen is as much of a terminal as the display uses. It fails the test on any
// other control sequence, and on a cursor that is sent off the screen.
type screen struct {
	t             *testing.T
	width, height int
	rows          [][]rune // all ever written; the last height of them are visible
	row, col      int
	wrap          bool
	writes        int
}

func newScreen(t *testing.T, width, height int) *screen {
	return &screen{t: t, width: width, height: height, rows: [][]rune{nil}, wrap: true}
}

func (s *screen) Write(p []byte) (int, error) {
	s.writes++
	for text := string(p); text != ""; {
		if rest, ok := strings.CutPrefix(text, "\x1b["); ok {
			end := strings.IndexAny(rest, "AJlh")
			s.control(rest[:end+1])
			text = rest[end+1:]
			continue
		}
		r := []rune(text)[0]
		s.put(r)
		text = text[len(string(r)):]
	}
	return len(p), nil
}

func (s *screen) control(sequence string) {
	switch {
	case sequence == "J":
		s.rows = s.rows[:s.row+1]
		s.rows[s.row] = s.rows[s.row][:min(s.col, len(s.rows[s.row]))]
	case sequence == "?7l", sequence == "?7h":
		s.wrap = sequence == "?7h"
	case strings.HasSuffix(sequence, "A"):
		n, err := strconv.Atoi(strings.TrimSuffix(sequence, "A"))
		if err != nil || n < 1 || s.row-n < max(0, len(s.rows)-s.height) {
			s.t.Fatalf("cursor moved up by %q from row %d of %d", sequence, s.row, len(s.rows))
		}
		s.row -= n
	default:
		s.t.Fatalf("unknown control sequence %q", sequence)
	}
}

func (s *screen) put(r rune) {
	switch {
	case r == '\n': // a terminal in its usual mode returns the carriage too
		s.row, s.col = s.row+1, 0
	case r == '\r':
		s.col = 0
		return
	case s.col == s.width && s.wrap:
		s.row, s.col = s.row+1, 0
		s.put(r)
		return
	default:
		s.col = min(s.col, s.width-1)
		for len(s.rows[s.row]) <= s.col {
			s.rows[s.row] = append(s.rows[s.row], ' ')
		}
		s.rows[s.row][s.col] = r
		s.col++
	}
	for len(s.rows) <= s.row {
		s.rows = append(s.rows, nil)
	}
}

// lines is all that was written, what has scrolled away too, as it looks now.
func (s *screen) lines() []string {
	var lines []string
	for _, row := range s.rows {
		lines = append(lines, strings.TrimRight(string(row), " "))
	}
	return lines[:len(lines)-1]
}

func (s *screen) String() string { return strings.Join(s.lines(), "\n") }

func (s *screen) expect(want ...string) {
	s.t.Helper()
	if got, want := fmt.Sprintf("%q", s.lines()), fmt.Sprintf("%q", want); got != want {
		s.t.Errorf("screen:\n got %s\nwant %s", got, want)
	}
}
