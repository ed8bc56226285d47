package progress

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/org/nixery-action/internal/logline"
)

// Stage is one strand of work: so many items and bytes of a total, and what is
// being done now.
type Stage struct {
	display         *Display
	name            string
	start           time.Time
	printed         time.Time // when its last line was written, where lines stay
	news            bool      // since then
	shown           bool      // where lines stay: there is one
	items, allItems int
	bytes, allBytes int64
	status          string
}

// Total sets how many items and bytes there are to do; zero is not known. It may be
// called again as more is learnt.
func (s *Stage) Total(items int, bytes int64) {
	s.change(func() { s.allItems, s.allBytes = items, bytes })
}

// Add counts items and bytes as done.
func (s *Stage) Add(items int, bytes int64) {
	s.change(func() { s.items, s.bytes = s.items+items, s.bytes+bytes })
}

// Status says what is being done, in a few words. Line breaks and control characters
// are taken out, so any output of a program will do.
func (s *Stage) Status(text string) {
	text = strings.Join(strings.Fields(logline.Clean(text)), " ")
	s.change(func() { s.status = text })
}

// Done ends the stage. Its last line, which stays, is summary, or the counts if
// that is empty. Further calls of the stage's methods do nothing.
func (s *Stage) Done(summary string) {
	d := s.display
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if summary == "" {
		summary = cmp.Or(s.amount(now), "done")
	}
	if took := elapsed(now.Sub(s.start)); took != "" {
		summary += " (" + took + ")"
	}
	d.end(s, s.name+": "+summary)
}

func (s *Stage) change(set func()) {
	s.display.mu.Lock()
	defer s.display.mu.Unlock()
	set()
	s.news = true
	s.display.update()
}

func (s *Stage) due(now time.Time) bool {
	quiet := now.Sub(s.printed)
	if !s.shown {
		return s.news || quiet >= foldAfter
	}
	return quiet >= quietEvery || s.news && quiet >= lineEvery(now.Sub(s.start))
}

// text is the stage's line while it runs.
func (s *Stage) text(now time.Time) string {
	rest := join(s.amount(now), elapsed(now.Sub(s.start)), s.status)
	if rest == "" {
		return s.name
	}
	return s.name + ": " + rest
}

func (s *Stage) amount(now time.Time) string {
	return join(s.count(), s.size(), s.rate(now))
}

func (s *Stage) count() string {
	switch {
	case s.allItems > 0:
		return fmt.Sprintf("%d/%d", s.items, s.allItems)
	case s.items > 0:
		return fmt.Sprint(s.items)
	}
	return ""
}

func (s *Stage) size() string {
	switch {
	case s.allBytes > 0:
		return Size(s.bytes) + " of " + Size(s.allBytes)
	case s.bytes > 0:
		return Size(s.bytes)
	}
	return ""
}

func (s *Stage) rate(now time.Time) string {
	seconds := now.Sub(s.start).Seconds()
	if s.bytes == 0 || seconds < 1 {
		return ""
	}
	return Size(int64(float64(s.bytes)/seconds)) + "/s"
}
