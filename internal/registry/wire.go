package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/org/nixery-action/internal/retry"
)

// wire is the transport under everything that talks to a registry. It keeps plain HTTP to where it is allowed, refuses to send
// a body twice, and notes in the request's trace what go-containerregistry does not tell.
type wire struct {
	strict   *http.Transport
	lax      *http.Transport // does not verify certificates
	insecure []string
}

func newWire(base *http.Transport, insecure []string) *wire {
	if base == nil {
		base = defaultTransport()
	}
	lax := base.Clone()
	if lax.TLSClientConfig == nil {
		lax.TLSClientConfig = &tls.Config{}
	}
	lax.TLSClientConfig.InsecureSkipVerify = true
	return &wire{strict: base.Clone(), lax: lax, insecure: insecure}
}

func defaultTransport() *http.Transport {
	base, ok := remote.DefaultTransport.(*http.Transport)
	if !ok {
		base = &http.Transport{Proxy: http.ProxyFromEnvironment}
	}
	base = base.Clone()
	// Registries that commit a blob by copying it within an object store take minutes; more is a dead connection.
	base.ResponseHeaderTimeout = 5 * time.Minute
	return base
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := w.refuse(req); err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	transport := w.strict
	if w.isInsecure(req.URL.Host) {
		transport = w.lax
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, w.explainPlain(req.URL.Host, err)
	}
	bound(req, resp)
	traceOf(req.Context()).note(req, resp)
	return resp, nil
}

// explainPlain tells a registry that answers without TLS from one whose TLS is broken.
func (w *wire) explainPlain(host string, err error) error {
	var record tls.RecordHeaderError
	if errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/" && !w.allowsPlain(host) {
		return &plainHTTPError{host: host, spoken: true}
	}
	return err
}

func (w *wire) refuse(req *http.Request) error {
	if req.URL.Scheme != "https" && !w.allowsPlain(req.URL.Host) {
		return &plainHTTPError{host: req.URL.Host}
	}
	// A token that expires in mid-upload makes go-containerregistry send the same request again, whose body is half read.
	if b, ok := req.Body.(*Body); ok && !b.take() {
		return errReread
	}
	return nil
}

// allowsPlain says whether host may be spoken to without TLS.
func (w *wire) allowsPlain(host string) bool {
	return isLoopback(hostname(host)) || w.isInsecure(host)
}

// isInsecure says whether the user listed host, either with its port or without.
func (w *wire) isInsecure(host string) bool {
	for _, listed := range w.insecure {
		if strings.EqualFold(listed, host) || strings.EqualFold(listed, hostname(host)) {
			return true
		}
	}
	return false
}

func (w *wire) closeIdle() {
	w.strict.CloseIdleConnections()
	w.lax.CloseIdleConnections()
}

func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.Trim(host, "[]")
}

func isLoopback(hostname string) bool {
	if strings.EqualFold(hostname, "localhost") {
		return true
	}
	ip := net.ParseIP(hostname)
	return ip != nil && ip.IsLoopback()
}

// plainHTTPError is a request that would have gone out without TLS, or was answered so.
type plainHTTPError struct {
	host   string
	spoken bool // the host was seen to speak plain HTTP
}

func (e *plainHTTPError) Error() string {
	return fmt.Sprintf("plain HTTP to %s is not allowed", e.host)
}

// errReread is an upload that has to start again, because its body was already sent once.
var errReread = errors.New("the registry interrupted the upload")

// trace is what the wire saw of one attempt at an operation. Its methods may be called concurrently.
type trace struct {
	mu         sync.Mutex
	seen       Transfer
	retryAfter time.Duration
}

type traceKey struct{}

func withTrace(ctx context.Context, t *trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

func traceOf(ctx context.Context) *trace {
	if t, ok := ctx.Value(traceKey{}).(*trace); ok {
		return t
	}
	return &trace{}
}

func (t *trace) note(req *http.Request, resp *http.Response) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.retryAfter = max(t.retryAfter, retry.After(resp.Header.Get("Retry-After"), time.Now()))
	if req.Method != http.MethodPost {
		return
	}
	switch resp.StatusCode {
	case http.StatusCreated:
		t.seen = Transfer{Mounted: true}
	case http.StatusAccepted:
		t.seen = Transfer{Uploaded: true}
	}
}

func (t *trace) transfer() Transfer {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen
}

// asked returns the longest wait that a registry asked for.
func (t *trace) asked() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.retryAfter
}
