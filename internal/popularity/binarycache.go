package popularity

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	tries         = 5
	firstWait     = time.Second
	maxRetryAfter = time.Minute // a longer quota is better met by an error that says so
	attemptTime   = 2 * time.Minute
	headerTime    = 20 * time.Second // a hung server is asked again before the attempt's time is up
)

// web fetches over HTTP, and retries where that may help.
type web struct {
	client *http.Client
	agent  string        // User-Agent
	log    *slog.Logger  // receives each wait
	wait   time.Duration // after a first failure; it doubles
}

// newWeb allows jobs connections to one host.
func newWeb(agent string, log *slog.Logger, jobs int) *web {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = jobs
	transport.ResponseHeaderTimeout = headerTime
	transport.DisableCompression = true // a digest is that of the file, not of what a server makes of it
	client := &http.Client{Transport: transport, Timeout: attemptTime, CheckRedirect: noDowngrade}
	return &web{client: client, agent: agent, log: log, wait: firstWait}
}

func noDowngrade(next *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return backoff.Permanent(errors.New("it redirects more than ten times"))
	}
	if isSafe(via[0].URL) && !isSafe(next.URL) {
		return backoff.Permanent(fmt.Errorf("it redirects to %s, where the answer could be changed on its way", bare(next.URL)))
	}
	return nil
}

// isSafe reports whether the answers of a URL cannot be changed on their way: it is
// https, or on this machine.
func isSafe(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	return u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && loopback)
}

// bare returns a URL without the parts that may be secret: user, query and fragment.
func bare(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// parseURL does not repeat the text in its error, since it may hold a password.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("want an http or https URL")
	}
	return u, nil
}

// errCut is an answer that ends too early; it is retried.
var errCut = errors.New("the answer is cut off")

// statusError is an answer with a status other than 200. Errors of fetch wrap it.
type statusError struct {
	status     int
	retryAfter time.Duration
}

func (e *statusError) Error() string {
	return fmt.Sprintf("the server answered %d %s", e.status, http.StatusText(e.status))
}

// Unwrap returns to backoff the delay that the server asks for.
func (e *statusError) Unwrap() error {
	if e.retryAfter > 0 {
		return &backoff.RetryAfterError{Duration: e.retryAfter}
	}
	return nil
}

// absent reports whether the file does not exist. A bucket that may not be listed
// answers 403; Nix treats that as 404, too.
func (e *statusError) absent() bool {
	return e.status == http.StatusNotFound || e.status == http.StatusGone || e.status == http.StatusForbidden
}

func (e *statusError) mayPass() bool {
	return e.status >= 500 || e.status == http.StatusTooManyRequests || e.status == http.StatusRequestTimeout
}

// fetch returns at most limit bytes, and the URL they came from after redirects. It
// retries an answer for which check returns errCut; other errors of check are final.
func (w *web) fetch(ctx context.Context, u *url.URL, limit int64, check func([]byte) error) (body []byte, from *url.URL, err error) {
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.Multiplier = w.wait, 2
	body, err = backoff.Retry(ctx, func() (body []byte, err error) {
		if body, from, err = w.once(ctx, u, limit); err != nil {
			return nil, err
		}
		if err = check(body); err != nil && !errors.Is(err, errCut) {
			err = backoff.Permanent(err)
		}
		return body, err
	}, backoff.WithBackOff(waits), backoff.WithMaxTries(tries), backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, wait time.Duration) {
			w.log.LogAttrs(ctx, slog.LevelDebug, "trying again",
				slog.String("where", bare(u)), slog.Duration("wait", wait), slog.String("cause", err.Error()))
		}))
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return body, from, err
}

// whole is a check that accepts every answer.
func whole([]byte) error { return nil }

func (w *web) once(ctx context.Context, u *url.URL, limit int64) ([]byte, *url.URL, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, nil, backoff.Permanent(withoutURL(err))
	}
	req.Header.Set("User-Agent", w.agent)
	resp, err := w.client.Do(req)
	if err != nil {
		return nil, nil, ofConnection(withoutURL(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
		return nil, nil, ofStatus(resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the answer: %w", withoutURL(err))
	}
	if int64(len(body)) > limit {
		return nil, nil, backoff.Permanent(fmt.Errorf("the answer is larger than %d bytes", limit))
	}
	return body, resp.Request.URL, nil
}

// ofConnection makes an error permanent if the server has the wrong certificate, and
// leaves it to be retried if the server cannot be reached.
func ofConnection(err error) error {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return backoff.Permanent(err)
	}
	return err
}

func ofStatus(resp *http.Response) error {
	err := &statusError{resp.StatusCode, retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	if err.mayPass() {
		return err
	}
	return backoff.Permanent(err)
}

// withoutURL removes the URL from an error, as it may contain a token; the caller
// adds the bare one.
func withoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// retryAfter reads RFC 9110 §10.2.3: seconds, or a date.
func retryAfter(header string, now time.Time) time.Duration {
	seconds, err := strconv.Atoi(header)
	wait := time.Duration(min(seconds, 3600)) * time.Second
	if date, dateErr := http.ParseTime(header); err != nil && dateErr == nil {
		wait = date.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}
