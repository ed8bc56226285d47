package cache

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode"
)

// Kind says what is wrong with a store.
type Kind int

// The kinds of StoreError.
const (
	Other        Kind = iota
	Absent            // there is no such store here
	Unreachable       // no answer, or only errors, after all retries
	Throttled         // too many requests: 429, or resource_exhausted
	Unauthorized      // 401: no credentials, or wrong ones
	Denied            // the store does not allow it, most often because the token may only read
	Damaged           // what came back is not what was saved
	Unmarked          // a history without the mark of the key
)

func (k Kind) String() string {
	return [...]string{"other", "absent", "unreachable", "throttled", "unauthorized", "denied", "damaged", "unmarked"}[k]
}

// StoreError is a store that did not do as it was asked. Neither it nor what it wraps holds a token or a signed URL.
type StoreError struct {
	Store   string // the store's String
	Op      string // a gerund: "saving an entry"
	Kind    Kind
	Status  int    // HTTP status, or 0
	Message string // the store's own words, or ""
	Err     error  // or nil

	Again bool          // another attempt may do better
	After time.Duration // what the store asked to wait
}

func (e *StoreError) Error() string {
	text := fmt.Sprintf("%s: %s", e.Store, e.Op)
	if e.Status != 0 {
		text += fmt.Sprintf(": HTTP %d", e.Status)
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause, which may be nil.
func (e *StoreError) Unwrap() error { return e.Err }

// StatusKind maps an HTTP status that is no success.
func StatusKind(status int) Kind {
	switch {
	case status == http.StatusUnauthorized:
		return Unauthorized
	case status == http.StatusForbidden:
		return Denied
	case status == http.StatusTooManyRequests:
		return Throttled
	case status == http.StatusRequestTimeout || status >= 500:
		return Unreachable
	}
	return Other
}

// Failed makes a StoreError of an error without an answer, unless the context ended or it is one already.
func Failed(ctx context.Context, store, op string, kind Kind, err error) error {
	var known *StoreError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &known) && known.Store == store, errors.Is(err, ErrNotFound), errors.Is(err, ErrExists):
		return err
	}
	return &StoreError{Store: store, Op: op, Kind: kind, Err: withoutURL(err)}
}

// withoutURL drops the URLs that net/http puts into its errors: some are credentials.
func withoutURL(err error) error {
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
	}
	return err
}

const maxMessage = 300

var query = regexp.MustCompile(`\?\S*`)

// OwnWords makes a service's message fit for a log: one short line, without what may be secret.
func OwnWords(text, token string) string {
	if token != "" {
		text = strings.ReplaceAll(text, token, "***")
	}
	text = query.ReplaceAllString(text, "?***")
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if runes := []rune(text); len(runes) > maxMessage {
		text = string(runes[:maxMessage]) + "…"
	}
	return strings.TrimSpace(text)
}
