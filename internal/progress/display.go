// Package progress shows how far the stages of a run have come. On a terminal it
// keeps one line a stage below the log and redraws them; elsewhere, as in
// a workflow's log, it writes a line now and then.
//
// It stands apart from logging so that every part can report progress without
// knowing where it is shown. All that goes to the terminal, the log too, goes through
// one Display, so a line of the log never lands in the middle of a status line.
package progress

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

const (
	redrawEvery = 100 * time.Millisecond // ten frames a second look alive and cost nothing
	quietEvery  = time.Minute            // a stage without news: it is still alive
	mostLines   = 8                      // a frame higher than the terminal could not be erased
)

// lineEvery is how often a stage with news gets a line, where lines stay. After ten
// minutes that makes 36 of them.
func lineEvery(age time.Duration) time.Duration {
	switch {
	case age < time.Minute:
		return 5 * time.Second
	case age < 5*time.Minute:
		return 15 * time.Second
	}
	return 30 * time.Second
}

// Display shows stages on one writer. Its methods and those of its stages may be
// called from any goroutine. Progress is no reason to fail a build: errors of writing
// status lines are dropped, those of writing the log are returned.
type Display struct {
	mu      sync.Mutex
	w       io.Writer
	live    bool
	width   func() int
	now     func() time.Time
	stages  []*Stage // running, oldest first
	height  int      // status lines on the screen
	drawn   time.Time
	partial []byte // of the log: a line without its end
	closed  bool
	stop    func()
	fold    *Fold
	folded  bool // a group is open
	muted   bool
}

// New returns a Display on w. If live, w is a terminal width() columns wide, and
// status lines are redrawn; else lines are only ever added. It draws when stages report and
// on Refresh; [Open] also calls that regularly.
func New(w io.Writer, live bool, width func() int, now func() time.Time) *Display {
	return &Display{w: w, live: live, width: width, now: now, stop: func() {}}
}

// Stage starts a stage and shows it. End it with Done.
func (d *Display) Stage(name string) *Stage {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	s := &Stage{display: d, name: name, start: now, printed: now}
	if d.muted {
		return s
	}
	d.stages = append(d.stages, s)
	switch {
	case d.live:
		d.draw(nil)
	case d.fold == nil:
		d.print(s.name)
		s.shown = true
	}
	return s
}

// Mute keeps stages that start from now on to themselves. The log is written as before.
func (d *Display) Mute() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.muted = true
}

// Refresh shows what has changed, and the time that has gone by.
func (d *Display) Refresh() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.update()
}

// Writer returns where the log is to be written, in whole lines if possible: what comes
// without a newline is held back until it has one, or until Close. After
// Close it writes straight on.
func (d *Display) Writer() io.Writer { return logWriter{d} }

// Close takes the status lines off the screen, and ends the group; stages that are not
// done leave no last line. Later calls, and calls of stages, show nothing.
func (d *Display) Close() error {
	d.stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.unfold()
	d.closed, d.stages = true, nil
	rest := d.partial
	d.partial = nil
	if len(rest) == 0 && d.height == 0 {
		return nil
	}
	return d.draw(rest)
}

type logWriter struct{ d *Display }

func (l logWriter) Write(p []byte) (int, error) {
	d := l.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return d.w.Write(p)
	}
	text := append(d.partial, p...)
	end := bytes.LastIndexByte(text, '\n') + 1
	d.partial = slices.Clone(text[end:])
	if end == 0 {
		return len(p), nil
	}
	if err := d.draw(text[:end]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// update draws or prints what is due.
func (d *Display) update() {
	if d.closed {
		return
	}
	now := d.now()
	if d.live && now.Sub(d.drawn) >= redrawEvery {
		d.draw(nil)
	}
	for _, s := range d.stages {
		if !d.live && s.due(now) {
			d.tell(s, now)
		}
	}
}

// end takes a stage off the display; last is the line that stays.
func (d *Display) end(s *Stage, last string) {
	i := slices.Index(d.stages, s)
	if i < 0 {
		return
	}
	d.stages = slices.Delete(d.stages, i, i+1)
	d.unfold()
	d.draw([]byte(last + "\n"))
}

// tell adds a stage's line, where lines stay, and a group for it if there is none.
func (d *Display) tell(s *Stage, now time.Time) {
	line, opens := s.text(now), d.fold != nil && !d.folded
	if !s.shown && !s.news {
		line = s.name
	}
	if opens {
		d.folded = true
		d.fold.Begin(s.name)
	}
	if !opens || s.news {
		d.print(line)
	}
	s.shown, s.printed, s.news = true, now, false
}

func (d *Display) print(line string) { fmt.Fprintln(d.w, line) }
