package serve

import (
	"errors"
	"net/http"
	"time"
)

// deadlineWriter gives a client some time for each chunk, however long the whole takes: one that has stopped reading is let go, and one that is
// slow is not.
type deadlineWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
	sent    int64 // bytes of content
}

func newDeadlineWriter(w http.ResponseWriter, stall time.Duration) *deadlineWriter {
	return &deadlineWriter{ResponseWriter: w, control: http.NewResponseController(w), stall: stall}
}

func (p *deadlineWriter) Write(chunk []byte) (int, error) {
	if err := p.until(time.Now().Add(p.stall)); err != nil {
		return 0, err
	}
	n, err := p.ResponseWriter.Write(chunk)
	p.sent += int64(n)
	return n, err
}

// Unwrap is for [http.ResponseController].
func (p *deadlineWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// until sets the deadline, which net/http takes back when the answer is over.
func (p *deadlineWriter) until(deadline time.Time) error {
	err := p.control.SetWriteDeadline(deadline)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil // a recorder in a test has no connection
	}
	return err
}
