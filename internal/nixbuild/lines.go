package nixbuild

import (
	"bytes"
	"errors"
)

// lineWriter cuts what is written to it into lines. It is not for concurrent use.
type lineWriter struct {
	emit    func(line string)
	limit   int // bytes: a longer line is given out in pieces
	partial []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	written := len(p)
	for {
		line, rest, found := bytes.Cut(p, []byte("\n"))
		w.partial = append(w.partial, line...)
		if !found {
			break
		}
		w.give(true)
		p = rest
	}
	w.give(false)
	return written, nil
}

// flush gives out a last line that has no newline.
func (w *lineWriter) flush() {
	if len(w.partial) > 0 {
		w.give(true)
	}
}

// give emits what is held: in pieces of limit bytes, and the remainder too if it
// is a whole line.
func (w *lineWriter) give(whole bool) {
	for len(w.partial) > w.limit {
		w.emit(string(w.partial[:w.limit]))
		w.partial = w.partial[w.limit:]
	}
	if whole {
		w.emit(string(bytes.TrimSuffix(w.partial, []byte("\r"))))
		w.partial = w.partial[:0]
	}
}

// tail remembers the last lines that were added.
type tail struct {
	limit int
	kept  []string
}

func (t *tail) add(line string) {
	if len(t.kept) == 2*t.limit {
		t.kept = append(t.kept[:0], t.kept[t.limit:]...)
	}
	t.kept = append(t.kept, line)
}

func (t *tail) lines() []string { return t.kept[max(0, len(t.kept)-t.limit):] }

// cappedBuffer refuses what does not fit, which ends the copying, which closes
// the pipe, which ends the writer. [bytes.Buffer] is not embedded, because its
// ReadFrom knows no limit.
type cappedBuffer struct {
	limit int
	full  bool
	buf   bytes.Buffer
}

var errFull = errors.New("the buffer is full")

func (b *cappedBuffer) Write(p []byte) (int, error) {
	if b.buf.Len()+len(p) > b.limit {
		b.full = true
		return 0, errFull
	}
	return b.buf.Write(p)
}
