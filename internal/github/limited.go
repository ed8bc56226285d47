package github

import (
	"io"
	"net/http"

	"github.com/org/nixery-action/internal/bounded"
)

// largestAnswer is in bytes: a page of 100 comments, each of them as long as GitHub lets it be, is a third of it.
const largestAnswer = 32 << 20

// limited bounds the bodies of answers, which the client decodes as they come.
type limited struct{ inner http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (l limited) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.inner.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = body{bounded.Reader(req.Context(), resp.Body, largestAnswer), resp.Body}
	return resp, nil
}

type body struct {
	io.Reader
	io.Closer
}
