package actions

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"sync"

	"github.com/sethvargo/go-githubactions"
)

// StartGroup begins a part of the log that the reader can fold. Groups do not nest: a
// second one ends the first.
func StartGroup(w io.Writer, title string) error { return send(w, "group", title) }

// EndGroup ends the group.
func EndGroup(w io.Writer) error { return send(w, "endgroup", "") }

// Mask tells the runner to hide secret, and each of its lines, in all that the job logs
// from here on. w must reach the runner without our own masking. A blank secret is ignored.
func Mask(w io.Writer, secret string) error {
	if strings.TrimSpace(secret) == "" {
		return nil
	}
	return send(w, "add-mask", secret)
}

func send(w io.Writer, name, message string) error {
	_, err := io.WriteString(w, command(name, message, nil)+"\n")
	return err
}

func command(name, message string, properties githubactions.CommandProperties) string {
	c := githubactions.Command{Name: name, Message: message, Properties: properties}
	return c.String()
}

// The runner obeys a line that begins with two colons, after whatever Unicode calls a space,
// and one that has the older ##[ anywhere (ActionCommand.cs in
// https://github.com/actions/runner). Its lines end at carriage returns too.
var commandStart = regexp.MustCompile(`(?m)((?:^|\r)[\s\v\x{85}\pZ]*:)(:)|(##)(\[)`)

// plain is text in which the runner finds no command.
func plain(text string) string { return commandStart.ReplaceAllString(text, "$1$3 $2$4") }

// PlainWriter writes lines of which the runner takes none for a command. A line is
// held back until it ends. It may be used from several goroutines.
type PlainWriter struct {
	mu   sync.Mutex
	w    io.Writer
	held []byte
}

// NewPlainWriter returns a PlainWriter to w.
func NewPlainWriter(w io.Writer) *PlainWriter { return &PlainWriter{w: w} }

// Write takes all of p, even if part of it is held back.
func (p *PlainWriter) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = append(p.held, text...)
	end := bytes.LastIndexByte(p.held, '\n') + 1
	if end == 0 {
		return len(text), nil
	}
	lines := plain(string(p.held[:end]))
	p.held = bytes.Clone(p.held[end:])
	if _, err := io.WriteString(p.w, lines); err != nil {
		return 0, err
	}
	return len(text), nil
}
