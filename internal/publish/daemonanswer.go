package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"github.com/org/nixery-action/internal/registry"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"syscall"
)

// maxAnswer bounds what is read of a daemon's answer: a line or two for each image.
const maxAnswer = 4 << 20

// DaemonError is a failed exchange with a docker daemon. Its message names the daemon, what was tried, the cause and the way out.
type DaemonError struct {
	Host string // as DOCKER_HOST has it
	Op   string // a gerund: "loading images"
	Err  error
}

func (e *DaemonError) Error() string {
	message := fmt.Sprintf("docker's daemon at %s: %s: %s", e.Host, e.Op, e.problem())
	if hint := e.hint(); hint != "" {
		message += "; " + hint
	}
	return message
}

// Unwrap returns the cause, which may match fs.ErrNotExist or fs.ErrPermission.
func (e *DaemonError) Unwrap() error { return e.Err }

func (e *DaemonError) problem() string {
	switch {
	case errors.Is(e.Err, fs.ErrNotExist):
		return "there is no such socket"
	case errors.Is(e.Err, fs.ErrPermission):
		return "permission denied"
	case errors.Is(e.Err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(e.Err, context.DeadlineExceeded):
		return "it does not answer"
	}
	return registry.Cause(e.Err)
}

// hint says what to do about it; empty if that is not known.
func (e *DaemonError) hint() string {
	const other = "name another with DOCKER_HOST, or write a file with type=docker,dest=FILE"
	var refused *refusedError
	switch {
	case errors.Is(e.Err, fs.ErrPermission):
		return "add the user to the group docker, or " + other
	case errors.Is(e.Err, http.ErrSchemeMismatch):
		return "it speaks no TLS; unset DOCKER_TLS_VERIFY and DOCKER_CERT_PATH"
	case errors.As(e.Err, &refused) && refused.overTLS():
		return "set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the directory of its certificates"
	case errors.As(e.Err, &refused):
		return ""
	case registry.IsDial(e.Err), errors.Is(e.Err, context.DeadlineExceeded):
		return "start docker, " + other
	}
	return ""
}

func (d *Daemon) fault(op string, err error) error {
	return &DaemonError{Host: d.host, Op: op, Err: err}
}

// refusedError is the daemon's own message.
type refusedError struct {
	status  int // HTTP status, or 0 if it came in the middle of an answer
	message string
}

func (e *refusedError) Error() string {
	if e.status == 0 {
		return e.message
	}
	return strings.TrimSuffix(fmt.Sprintf("%d %s: %s", e.status, http.StatusText(e.status), e.message), ": ")
}

// overTLS tells whether a server of TLS was spoken to without.
func (e *refusedError) overTLS() bool {
	return e.status == http.StatusBadRequest && strings.Contains(e.message, "HTTP request to an HTTPS server")
}

// refusal reads the message of an answer that is not 200: JSON of the API, or a line of text.
func refusal(resp *http.Response) error {
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return err
	}
	var answer struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(raw, &answer) != nil || answer.Message == "" {
		answer.Message, _, _ = strings.Cut(strings.TrimSpace(string(raw)), "\n")
	}
	return &refusedError{resp.StatusCode, answer.Message}
}

// readProgress reads an answer to its end: a stream of JSON objects, one of which may be an error. The status came before that was known.
func readProgress(r io.Reader) error {
	bounded := &io.LimitedReader{R: r, N: maxAnswer}
	for progress := json.NewDecoder(bounded); ; {
		var line struct {
			Error  string `json:"error"`
			Detail struct {
				Message string `json:"message"`
			} `json:"errorDetail"`
		}
		switch err := progress.Decode(&line); {
		case bounded.N <= 0:
			return fmt.Errorf("its answer has more than %d bytes", maxAnswer)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("reading its answer: %w", err)
		case line.Detail.Message != "":
			return &refusedError{message: line.Detail.Message}
		case line.Error != "":
			return &refusedError{message: line.Error}
		}
	}
}
