package actions

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/retry"
)

const (
	maxAnswer    = 64 << 10 // bytes of JSON
	shortTimeout = 15 * time.Second
	blockTimeout = 2 * time.Minute // for a block to be sent, and for a download to go on
)

// wire sends requests to one cache service, and to the storage behind it.
type wire struct {
	store  string // for errors
	token  string // "" sends none
	agent  string
	client *http.Client
}

func newWire(store, token, agent string, transport http.RoundTripper) *wire {
	if transport == nil {
		transport = http.DefaultTransport
	}
	return &wire{store, token, agent, &http.Client{Transport: transport, CheckRedirect: checkRedirect}}
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > 3 {
		return errors.New("too many redirects")
	}
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return errors.New("redirected away from HTTPS")
	}
	return nil
}

// call is one request. Its body is in memory, so that it can be sent again.
type call struct {
	op          string
	method, url string
	header      map[string]string
	body        []byte
	timeout     time.Duration
	signed      bool // the URL is a credential, and nothing of the answer may be told
}

// send returns the answer if it is a success, after as many attempts as are sensible. The caller closes its body.
func (w *wire) send(ctx context.Context, c call) (*http.Response, error) {
	return cache.Retry(ctx, func() (*http.Response, error) { return w.try(ctx, c) })
}

// do is send for an answer that is small.
func (w *wire) do(ctx context.Context, c call) ([]byte, error) {
	return cache.Retry(ctx, func() ([]byte, error) {
		resp, err := w.try(ctx, c)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
		if err == nil && len(body) > maxAnswer {
			return nil, &cache.StoreError{Store: w.store, Op: c.op, Err: errors.New("the answer is too long")}
		}
		return body, w.network(ctx, c.op, err)
	})
}

// exchange is do in JSON. The answer is left alone if it has no body.
func (w *wire) exchange(ctx context.Context, c call, request, answer any) error {
	if request != nil {
		body, err := json.Marshal(request)
		if err != nil {
			return fmt.Errorf("encoding request: %w", err)
		}
		c.body = body
		c.header = withHeader(c.header, "Content-Type", "application/json")
	}
	c.timeout = shortTimeout
	body, err := w.do(ctx, c)
	if err != nil || len(body) == 0 || answer == nil {
		return err
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return &cache.StoreError{Store: w.store, Op: c.op, Err: errors.New("the answer is not the JSON that was expected")}
	}
	return nil
}

func withHeader(header map[string]string, key, value string) map[string]string {
	with := map[string]string{key: value}
	for k, v := range header {
		with[k] = v
	}
	return with
}

func (w *wire) try(ctx context.Context, c call) (*http.Response, error) {
	watched, watch := newWatch(ctx, c.timeout)
	req, err := http.NewRequestWithContext(watched, c.method, c.url, bytes.NewReader(c.body))
	if err != nil {
		watch.stop()
		return nil, &cache.StoreError{Store: w.store, Op: c.op, Err: errors.New("the address is not a URL")}
	}
	for key, value := range c.header {
		req.Header.Set(key, value)
	}
	req.Header.Set("User-Agent", w.agent)
	if w.token != "" && !c.signed {
		req.Header.Set("Authorization", "Bearer "+w.token)
	}
	resp, err := w.client.Do(req)
	if err != nil {
		err = w.network(ctx, c.op, watch.explain(err))
		watch.stop()
		return nil, err
	}
	resp.Body = &watchedBody{ReadCloser: resp.Body, watch: watch, fault: func(err error) error { return w.network(ctx, c.op, err) }}
	if resp.StatusCode/100 != 2 {
		return nil, w.refusal(c, resp)
	}
	return resp, nil
}

// network makes a StoreError of an exchange that broke.
func (w *wire) network(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	err = cache.Failed(ctx, w.store, op, cache.Unreachable, err)
	var fault *cache.StoreError
	if errors.As(err, &fault) {
		fault.Again = true
	}
	return err
}

// refusal reads an answer that is no success, and closes it.
func (w *wire) refusal(c call, resp *http.Response) error {
	defer resp.Body.Close()
	fault := &cache.StoreError{Store: w.store, Op: c.op, Status: resp.StatusCode, Kind: cache.StatusKind(resp.StatusCode)}
	fault.After = retry.After(resp.Header.Get("Retry-After"), time.Now())
	// A gateway that has lost its service stays so for a while: magic-nix-cache stops at 502, too.
	fault.Again = fault.Kind == cache.Unreachable && resp.StatusCode != http.StatusBadGateway
	if c.signed {
		// Azure explains a refused signature with the text that was signed.
		fault.Message = cache.OwnWords(resp.Header.Get("x-ms-error-code"), w.token)
		return fault
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	var words struct {
		Code    string `json:"code"` // v2: twirp
		Msg     string `json:"msg"`
		TypeKey string `json:"typeKey"` // v1
		Message string `json:"message"`
		Error   string `json:"error"` // act
	}
	// What is not JSON comes from some gateway, and says no more than the status does.
	_ = json.Unmarshal(body, &words)
	fault.Message = cache.OwnWords(words.Msg+words.Message+words.Error, w.token)
	return coded(fault, words.Code+words.TypeKey)
}

// notFoundError is a refusal that some callers expect.
type notFoundError struct{ error }

// Codes of twirp, https://twitchtv.github.io/twirp/docs/spec_v7.html, and the one type key of v1 that matters.
func coded(fault *cache.StoreError, code string) error {
	switch code {
	case "already_exists", "ArtifactCacheItemAlreadyExistsException":
		return fmt.Errorf("%s: %s: %w", fault.Store, fault.Op, cache.ErrExists)
	case "not_found":
		return notFoundError{fault}
	case "resource_exhausted":
		fault.Kind, fault.Again = cache.Throttled, false
	}
	if fault.Status == http.StatusConflict {
		return fmt.Errorf("%s: %s: %w", fault.Store, fault.Op, cache.ErrExists)
	}
	return fault
}

func (e notFoundError) Unwrap() error { return e.error }

// signedURL checks an address that a service handed out.
func (w *wire) signedURL(op, service, signed string) error {
	u, err := url.Parse(signed)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || isHTTPS(service)) {
		return &cache.StoreError{Store: w.store, Op: op, Err: errors.New("the service gave no usable address for the content")}
	}
	return nil
}

func isHTTPS(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https"
}

// download reads what a signed URL gives, from its beginning to its end: there are servers that ignore Range, and give byte 0
// for every offset.
func (w *wire) download(ctx context.Context, signed string) (io.ReadCloser, error) {
	resp, err := w.send(ctx, call{
		op: cache.Reading, method: http.MethodGet, url: signed, signed: true, timeout: blockTimeout,
		header: map[string]string{"Accept-Encoding": "identity"},
	})
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.Join(
			&cache.StoreError{Store: w.store, Op: cache.Reading, Kind: cache.Damaged, Status: resp.StatusCode}, resp.Body.Close())
	}
	return resp.Body, nil
}

// watch ends an exchange in which nothing happens for too long.
type watch struct {
	timer   *time.Timer
	timeout time.Duration
	ctx     context.Context
	cancel  context.CancelCauseFunc
}

var errSilence = errors.New("no answer in time")

func newWatch(ctx context.Context, timeout time.Duration) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, &watch{time.AfterFunc(timeout, func() { cancel(errSilence) }), timeout, ctx, cancel}
}

func (w *watch) seen() { w.timer.Reset(w.timeout) }

func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(context.Canceled)
}

// explain says why, if it was the watch that ended the exchange.
func (w *watch) explain(err error) error {
	if errors.Is(context.Cause(w.ctx), errSilence) {
		return fmt.Errorf("%w (%s)", errSilence, w.timeout)
	}
	return err
}

type watchedBody struct {
	io.ReadCloser
	watch *watch
	fault func(error) error
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.watch.seen()
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.fault(b.watch.explain(err))
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.watch.stop()
	return b.ReadCloser.Close()
}
