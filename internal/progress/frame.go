package progress

import (
	"fmt"
	"strings"
)

// Control sequences of ECMA-48 §8.3: CUU (up), ED (erase to the end of the screen); and
// DECAWM of the VT100, which keeps a line that is wider than it looks from wrapping.
const (
	up      = "\r\x1b[%dA"
	erase   = "\x1b[J"
	wrapOff = "\x1b[?7l"
	wrapOn  = "\x1b[?7h"
)

// draw replaces the frame on the screen by log and a new frame below it, in one
// write, so that the terminal never shows half of it. Between calls
// the cursor is on the line after the frame.
func (d *Display) draw(log []byte) error {
	var b strings.Builder
	if d.height > 0 {
		fmt.Fprintf(&b, up+erase, d.height)
	}
	b.Write(log)
	lines := d.frame()
	if len(lines) > 0 {
		b.WriteString(wrapOff + strings.Join(lines, "\n") + wrapOn + "\n")
	}
	d.height = len(lines)
	d.drawn = d.now()
	_, err := d.w.Write([]byte(b.String()))
	return err
}

func (d *Display) frame() []string {
	if !d.live {
		return nil
	}
	now, width := d.now(), d.width()
	var lines []string
	for i, s := range d.stages {
		if i == mostLines-1 && len(d.stages) > mostLines {
			return append(lines, cut(fmt.Sprintf("and %d more", len(d.stages)-i), width))
		}
		lines = append(lines, cut(s.text(now), width))
	}
	return lines
}

// cut shortens a line to less than width columns. It counts characters; a wide one is
// clipped by the terminal.
func cut(line string, width int) string {
	runes := []rune(line)
	if width <= 1 || len(runes) < width {
		return line
	}
	return string(runes[:width-2]) + "…"
}
