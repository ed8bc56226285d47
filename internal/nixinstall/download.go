package nixinstall

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/org/nixery-action/internal/progress"
)

const (
	tries             = 5
	firstWait         = time.Second
	longestRetryAfter = time.Minute
	attemptTime       = 5 * time.Minute
	headerTime        = 20 * time.Second // a hung server is asked again before the attempt's time is up
)

// download fills f with the archive and verifies it, again and again if that
// may help.
func (i Installer) download(ctx context.Context, f *os.File) error {
	stage := i.Display.Stage("downloading " + i.Archive.title())
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.Multiplier = cmp.Or(i.wait, firstWait), 2
	client := newClient()
	defer client.CloseIdleConnections()
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		return struct{}{}, i.attempt(ctx, client, f, stage)
	}, backoff.WithBackOff(waits), backoff.WithMaxTries(tries), backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, wait time.Duration) {
			i.Log.Warn("trying again", "where", i.Archive.where(), "wait", wait, "cause", err)
		}))
	if err != nil {
		stage.Done("stopped")
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	stage.Done("")
	return err
}

func newClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = headerTime
	transport.DisableCompression = true // the digest is that of the file
	return &http.Client{Transport: transport, Timeout: attemptTime, CheckRedirect: safeHost}
}

func safeHost(next *http.Request, via []*http.Request) error {
	if len(via) >= 10 || !isSafe(next.URL) {
		return backoff.Permanent(errors.New("it redirects too often, or to plain HTTP"))
	}
	return nil
}

func (i Installer) attempt(ctx context.Context, client *http.Client, f *os.File, stage *progress.Stage) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, i.Archive.URL.String(), nil)
	if err != nil {
		return backoff.Permanent(withoutURL(err))
	}
	req.Header.Set("User-Agent", i.UserAgent)
	resp, err := client.Do(req)
	if err != nil {
		return ofConnection(withoutURL(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return ofStatus(resp)
	}
	if resp.ContentLength > i.limit() {
		return backoff.Permanent(errTooLarge)
	}
	stage.Total(0, max(resp.ContentLength, 0))
	return i.receive(resp.Body, f, stage)
}

func (i Installer) limit() int64 { return cmp.Or(i.most, mostArchive) }

var errTooLarge = errors.New("it is too large for a release of Nix")

// receive begins the file anew.
func (i Installer) receive(body io.Reader, f *os.File, stage *progress.Stage) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return backoff.Permanent(err)
	}
	if err := f.Truncate(0); err != nil {
		return backoff.Permanent(err)
	}
	sum, counted := sha256.New(), &meter{stage: stage}
	n, err := io.Copy(io.MultiWriter(f, sum, counted), io.LimitReader(body, i.limit()+1))
	if err == nil && n > i.limit() {
		err = backoff.Permanent(errTooLarge)
	}
	if err == nil {
		if err = i.Archive.verify(sum.Sum(nil)); err != nil {
			err = backoff.Permanent(err)
		}
	}
	if _, own := errors.AsType[*fs.PathError](err); own {
		err = backoff.Permanent(err) // a full disk
	}
	if err != nil {
		stage.Add(0, -n)
	}
	return err
}

// meter shows what goes through it.
type meter struct{ stage *progress.Stage }

func (m *meter) Write(p []byte) (int, error) {
	m.stage.Add(0, int64(len(p)))
	return len(p), nil
}

// withoutURL leaves out the URL, which may hold a password.
func withoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// ofConnection tells a server that is not who it should be from one that is not
// there at the moment.
func ofConnection(err error) error {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return backoff.Permanent(err)
	}
	return err
}

func ofStatus(resp *http.Response) error {
	err := fmt.Errorf("the server answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusRequestTimeout && resp.StatusCode < 500 {
		return backoff.Permanent(err)
	}
	if seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After")); seconds > 0 {
		wait := min(time.Duration(min(seconds, 3600))*time.Second, longestRetryAfter)
		return fmt.Errorf("%w: %w", err, &backoff.RetryAfterError{Duration: wait})
	}
	return err
}
