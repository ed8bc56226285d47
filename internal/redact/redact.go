// Package redact takes secrets out of a stream of bytes. It stands under every
// writer of logs, below all formatting, so that no path to the log goes round it.
//
// However the stream is cut into writes, no secret that was added before its first
// byte was written comes out, nor its usual encodings.
package redact

import (
	"bytes"
	"io"
	"slices"
	"sync"
)

const mask = "***"

// Writer passes bytes on to another writer and puts *** in place of secrets. What could be
// the beginning of a secret is held back until more is written, or Flush.
// No secret holds a newline (see Add), so whole lines are never held back.
// It may be used from several goroutines.
type Writer struct {
	mu    sync.Mutex
	w     io.Writer
	forms [][]byte // longest first
	held  []byte
}

// NewWriter returns a Writer to w that knows of secrets.
func NewWriter(w io.Writer, secrets ...string) *Writer {
	r := &Writer{w: w}
	r.Add(secrets...)
	return r
}

// Add makes secrets unspeakable from here on. Each line of a secret is a secret by itself;
// blank ones are ignored.
func (r *Writer) Add(secrets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, secret := range secrets {
		r.forms = append(r.forms, forms(secret)...)
	}
	slices.SortFunc(r.forms, func(a, b []byte) int { return len(b) - len(a) })
}

// Hide is a whole text without the secrets that are known so far.
func (r *Writer) Hide(text string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out, _ := r.scan([]byte(text), true)
	return string(out)
}

// Write takes all of p, even if part of it is held back.
func (r *Writer) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []byte
	out, r.held = r.scan(append(r.held, p...), false)
	if _, err := r.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush writes what was held back.
func (r *Writer) Flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	out, _ := r.scan(r.held, true)
	r.held = nil
	_, err := r.w.Write(out)
	return err
}

// scan masks text and, unless it is the last, keeps its end back from where a
// secret may go on: also if a shorter secret already ends there.
func (r *Writer) scan(text []byte, last bool) (out, held []byte) {
	for i := 0; i < len(text); {
		if !last && r.mayGoOn(text[i:]) {
			return out, text[i:]
		}
		if n := r.match(text[i:]); n > 0 {
			out = append(out, mask...)
			i += n
			continue
		}
		out = append(out, text[i])
		i++
	}
	return out, nil
}

func (r *Writer) mayGoOn(text []byte) bool {
	return slices.ContainsFunc(r.forms, func(form []byte) bool {
		return len(form) > len(text) && bytes.HasPrefix(form, text)
	})
}

func (r *Writer) match(text []byte) int {
	for _, form := range r.forms {
		if bytes.HasPrefix(text, form) {
			return len(form)
		}
	}
	return 0
}
