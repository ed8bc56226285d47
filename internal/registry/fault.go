package registry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Kind says what is wrong between this machine and a registry.
type Kind int

// The kinds of Error, from the nearest fault to the farthest.
const (
	Other        Kind = iota
	UnknownHost       // the registry's name does not resolve
	Unreachable       // no answer, or the connection broke
	Untrusted         // TLS: unknown authority, wrong name, expired
	PlainHTTP         // the registry has no TLS, and that was not allowed
	Unauthorized      // 401: no credentials, or wrong ones
	Forbidden         // 403: the credentials do not allow it
	NotFound          // 404: no such repository
	Throttled         // 429, even after waiting
	Unavailable       // 408 and 5xx, even after trying again
)

// Error is a failed exchange with a registry. Its message names the registry, what was tried, the cause and the way out, and
// holds no credentials, user names in URLs, or queries.
type Error struct {
	Registry   string // host and port
	Repository string // with its registry
	Op         string // a gerund: "uploading a layer"
	Kind       Kind
	Status     int  // HTTP status, or 0
	Anonymous  bool // no credentials were found; set for Unauthorized and Forbidden
	Reading    bool // something was to be read, not pushed
	Err        error
}

func (e *Error) Error() string {
	direction := "to"
	if e.Reading {
		direction = "from"
	}
	message := fmt.Sprintf("%s %s %s: %s", e.Op, direction, e.Repository, e.problem())
	if hint := e.hint(); hint != "" {
		message += "; " + hint
	}
	return message
}

// Unwrap returns the cause as go-containerregistry or net/http told it. Its text is not fit for people or logs.
func (e *Error) Unwrap() error { return e.Err }

// kinds maps HTTP statuses. Statuses from 500 on are Unavailable.
var kinds = map[int]Kind{
	http.StatusUnauthorized:    Unauthorized,
	http.StatusForbidden:       Forbidden,
	http.StatusNotFound:        NotFound,
	http.StatusTooManyRequests: Throttled,
	http.StatusRequestTimeout:  Unavailable,
	499:                        Unavailable, // nginx: the proxy before the registry lost us
}

// classify finds the kind and HTTP status of an error. A registry that may be spoken to in both ways is asked twice, and err
// may then hold two causes: the order of the questions says which one counts.
func classify(err error) (Kind, int) {
	var plain *plainHTTPError
	isPlain := errors.As(err, &plain)
	var answer *transport.Error
	switch {
	case isPlain && plain.spoken:
		return PlainHTTP, 0
	case isUntrusted(err):
		return Untrusted, 0
	case errors.As(err, &answer):
		return statusKind(answer.StatusCode), answer.StatusCode
	case isNetwork(err):
		return networkKind(err), 0
	case isPlain:
		return PlainHTTP, 0
	case errors.As(err, new(*url.Error)):
		return Unreachable, 0
	}
	return Other, 0
}

func statusKind(status int) Kind {
	if status >= http.StatusInternalServerError {
		return Unavailable
	}
	return kinds[status]
}

func isUntrusted(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		hostname     x509.HostnameError
		invalid      x509.CertificateInvalidError
		alert        tls.AlertError
	)
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &hostname) ||
		errors.As(err, &invalid) || errors.As(err, &alert)
}

func isNetwork(err error) bool {
	return errors.As(err, new(*net.OpError)) || errors.As(err, new(*net.DNSError))
}

func networkKind(err error) Kind {
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return UnknownHost
	}
	return Unreachable
}

// Retryable says whether the same operation may succeed if it is simply done again.
func Retryable(err error) bool {
	if errors.As(err, new(*layerError)) {
		return false
	}
	if errors.Is(err, errReread) || isLostUpload(err) {
		return true
	}
	kind, _ := classify(err)
	return kind == Unreachable || kind == Throttled || kind == Unavailable
}

// RetryableFirst is Retryable for first contact, where an address without a listener is most likely wrong.
func RetryableFirst(err error) bool {
	var op *net.OpError
	return Retryable(err) && !(errors.As(err, &op) && op.Op == "dial" && !op.Timeout())
}

// isLostUpload says whether the registry forgot an upload that it had begun, as those behind a load balancer sometimes do.
func isLostUpload(err error) bool {
	var answer *transport.Error
	if !errors.As(err, &answer) {
		return false
	}
	for _, d := range answer.Errors {
		if d.Code == transport.BlobUploadUnknownErrorCode || d.Code == transport.BlobUploadInvalidErrorCode {
			return true
		}
	}
	return false
}

// Cause returns an error's innermost reason in a few words, without URLs and without what a token server said.
func Cause(err error) string {
	var (
		answer *transport.Error
		op     *net.OpError
		dns    *net.DNSError
		uerr   *url.Error
	)
	switch {
	case errors.As(err, &answer):
		return answerText(answer)
	case errors.As(err, &dns):
		return dns.Error()
	case errors.As(err, &op):
		return op.Error()
	case errors.As(err, &uerr):
		return uerr.Err.Error()
	}
	// go-containerregistry quotes the whole of an answer in which it found no token.
	text, _, _ := strings.Cut(err.Error(), " in bearer response")
	return text
}

func answerText(e *transport.Error) string {
	text := fmt.Sprintf("%d %s", e.StatusCode, http.StatusText(e.StatusCode))
	for _, d := range e.Errors {
		text += fmt.Sprintf(", %s: %s", d.Code, d.Message)
	}
	const longest = 400
	if len(text) > longest {
		text = text[:longest] + "…"
	}
	return text
}
