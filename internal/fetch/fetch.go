// Package fetch downloads over HTTP: with one retry policy, bounded, never from
// TLS to plain HTTP, and with errors that hold no secret of a URL. Popularity
// tables, binary caches, releases of Nix and channels of nixpkgs are read by it;
// registries and the Actions cache have clients of their own.
package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/org/nixery-action/internal/retry"
)

// Options of a [Client]. The zero value is usable.
type Options struct {
	Agent       string        // User-Agent
	Connections int           // kept to one host; 0 for Go's default
	Timeout     time.Duration // of one attempt, with its body; 2 minutes if 0
	Retry       retry.Policy
	// Note hears of each wait before another attempt; nil for silence.
	Note func(where string, wait time.Duration, cause error)
}

// Client downloads. It may be used by many goroutines.
type Client struct {
	options Options
	http    *http.Client
}

// maxHeaderWait is how long a server may take to begin its answer: a server that
// hangs is asked again before the attempt's time is up.
const maxHeaderWait = 20 * time.Second

// New returns a client.
func New(o Options) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = o.Connections
	transport.ResponseHeaderTimeout = maxHeaderWait
	transport.DisableCompression = true // a digest is that of the file, not of what a server makes of it
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Minute
	}
	return &Client{options: o, http: &http.Client{Transport: transport, Timeout: o.Timeout, CheckRedirect: checkRedirect}}
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// ErrCut marks an answer that ends too early; it is retried.
var ErrCut = errors.New("the answer is cut off")

// StatusError is an answer with a status other than 200.
type StatusError struct {
	Status int
	After  time.Duration // the wait that the server asks for
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("the server answered %d %s", e.Status, http.StatusText(e.Status))
}

// Absent reports whether the file does not exist. A bucket that may not be listed
// answers 403; Nix treats that as 404, too.
func (e *StatusError) Absent() bool {
	return e.Status == http.StatusNotFound || e.Status == http.StatusGone || e.Status == http.StatusForbidden
}

// passing is an error that another attempt may not have.
type passing struct{ error }

func (e passing) Unwrap() error { return e.error }

func judge(err error) retry.Verdict {
	if status, ok := errors.AsType[*StatusError](err); ok {
		again := status.Status >= 500 || status.Status == http.StatusTooManyRequests || status.Status == http.StatusRequestTimeout
		return retry.Verdict{Again: again, After: status.After}
	}
	_, ok := errors.AsType[passing](err)
	return retry.Verdict{Again: ok || errors.Is(err, ErrCut)}
}

// Stream downloads u, and returns the URL that the bytes come from after
// redirects. receive gets the body and its size, -1 if the server does not say;
// it is called for each attempt and begins from nothing then. Errors of reading the body and [ErrCut]
// are retried, all others that receive returns are final.
func (c *Client) Stream(ctx context.Context, u *url.URL, receive func(body io.Reader, size int64) error) (from *url.URL, err error) {
	note := func(err error, wait time.Duration) {
		if c.options.Note != nil {
			c.options.Note(Bare(u), wait, err)
		}
	}
	from, err = retry.Do(ctx, c.options.Retry, judge, note, func(ctx context.Context) (*url.URL, error) {
		return c.once(ctx, u, receive)
	})
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return from, err
}

// Get downloads u, which may have at most limit bytes. An answer for which check
// returns [ErrCut] is retried; its other errors are final. A nil check accepts
// every answer.
func (c *Client) Get(ctx context.Context, u *url.URL, limit int64, check func([]byte) error) (body []byte, from *url.URL, err error) {
	from, err = c.Stream(ctx, u, func(r io.Reader, _ int64) (err error) {
		if body, err = io.ReadAll(io.LimitReader(r, limit+1)); err != nil {
			return fmt.Errorf("reading the answer: %w", err)
		}
		if int64(len(body)) > limit {
			return fmt.Errorf("the answer is larger than %d bytes", limit)
		}
		if check == nil {
			return nil
		}
		return check(body)
	})
	if err != nil {
		return nil, nil, err
	}
	return body, from, nil
}

func (c *Client) once(ctx context.Context, u *url.URL, receive func(io.Reader, int64) error) (*url.URL, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, WithoutURL(err)
	}
	if c.options.Agent != "" {
		req.Header.Set("User-Agent", c.options.Agent)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, ofConnection(WithoutURL(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
		return nil, &StatusError{resp.StatusCode, retry.After(resp.Header.Get("Retry-After"), time.Now())}
	}
	return resp.Request.URL, receive(body{resp.Body}, resp.ContentLength)
}

// body marks what goes wrong on the way.
type body struct{ io.Reader }

func (b body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = passing{WithoutURL(err)}
	}
	return n, err
}

// errRedirect marks redirects that are not followed.
var errRedirect = errors.New("it redirects")

func checkRedirect(next *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return fmt.Errorf("%w more than ten times", errRedirect)
	}
	if IsSafe(via[0].URL) && !IsSafe(next.URL) {
		return fmt.Errorf("%w to %s, where the answer could be changed on its way", errRedirect, Bare(next.URL))
	}
	return nil
}

// ofConnection leaves an error final if the server has the wrong certificate or
// redirects wrongly, and to be retried if the server cannot be reached.
func ofConnection(err error) error {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok || errors.Is(err, errRedirect) {
		return err
	}
	return passing{err}
}

// Parse reads an http or https URL. Its error does not repeat the text, which may
// hold a password.
func Parse(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("want an http or https URL")
	}
	return u, nil
}

// IsSafe reports whether the answers of a URL cannot be changed on their way: it
// is https, or on this machine.
func IsSafe(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	return u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && loopback)
}

// Bare returns a URL without the parts that may be secret: user, query and
// fragment.
func Bare(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// WithoutURL removes the URL from an error, as it may hold a token.
func WithoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}
