// Package registry is the one client of registries that speak the OCI distribution protocol: transport, credentials, retries, faults with
// their hints, pulls, and the pieces of a push. Destinations, `diff` and caches use it.
//
// It stands apart because all of them need the same rules: plain HTTP only where it is allowed, answers bounded, no credentials in
// messages, and a body never sent twice.
package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/org/nixery-action/internal/retry"
)

// Options are the settings of a Client; the zero value is anonymous and silent.
type Options struct {
	// Keychain finds credentials; see the function of that name.
	Keychain authn.Keychain
	// Transport is cloned; nil means go-containerregistry's, which honours proxy settings.
	Transport *http.Transport
	// Insecure lists hosts, with or without a port, that may speak plain HTTP, or TLS with any certificate. Loopback
	// addresses may always speak plain HTTP, but their certificates are checked unless they are listed.
	Insecure []string
	// Jobs is how many manifests go-containerregistry reads at a time; 0 means 4.
	Jobs int
	// Retry has its own defaults; see [retry.Policy].
	Retry     retry.Policy
	UserAgent string
	// Logger gets a warning for every retry; nil means silence.
	Logger *slog.Logger
}

// Client speaks the distribution protocol with any number of registries. Its methods may be called concurrently. Failures of a
// registry are *Error.
type Client struct {
	keychain authn.Keychain
	wire     *wire
	jobs     int
	policy   retry.Policy
	agent    string
	logger   *slog.Logger
}

// New returns a client, and sends nothing.
func New(o Options) *Client {
	c := &Client{keychain: o.Keychain, wire: newWire(o.Transport, o.Insecure), jobs: o.Jobs, policy: o.Retry, agent: o.UserAgent, logger: o.Logger}
	if c.keychain == nil {
		c.keychain = authn.NewMultiKeychain()
	}
	c.keychain = namedKeychain{c.keychain}
	if c.jobs <= 0 {
		c.jobs = 4
	}
	if c.logger == nil {
		c.logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// RoundTripper is the transport of all requests: it refuses plain HTTP where that is not allowed.
func (c *Client) RoundTripper() http.RoundTripper { return c.wire }

// CloseIdle closes connections that are not in use.
func (c *Client) CloseIdle() { c.wire.closeIdle() }

// Options are go-containerregistry's options for requests as this client sends them.
func (c *Client) Options() []remote.Option {
	return []remote.Option{
		remote.WithTransport(c.wire),
		remote.WithAuthFromKeychain(c.keychain),
		remote.WithJobs(c.jobs),
		remote.WithUserAgent(c.agent),
		// These retries would sleep through a cancelled context, and ignore Retry-After.
		remote.WithRetryPredicate(func(error) bool { return false }),
		remote.WithRetryStatusCodes(),
	}
}

// Reachable returns the repository with plain HTTP allowed where it is allowed: go-containerregistry's own rule
// covers private networks, and not all of loopback.
func (c *Client) Reachable(repo name.Repository) name.Repository {
	if !c.wire.allowsPlain(repo.RegistryStr()) {
		return repo
	}
	if plain, err := name.NewRegistry(repo.RegistryStr(), name.Insecure); err == nil {
		repo.Registry = plain
	}
	return repo
}

// Transfer says what the upload of a blob took. Both are false if the repository had the blob.
type Transfer struct {
	Mounted  bool // the registry had it in another repository
	Uploaded bool
}

// Retry runs op until it succeeds, again calls its error final, or the policy ends it. what and where are for the log. It
// returns what the wire saw of the last attempt.
func (c *Client) Retry(ctx context.Context, what, where string, again func(error) bool, op func(context.Context) error) (Transfer, error) {
	var t *trace // of the last attempt
	_, err := retry.Do(ctx, c.policy, func(err error) retry.Verdict {
		return retry.Verdict{Again: again(err), After: t.asked()}
	}, func(err error, wait time.Duration) {
		c.logger.LogAttrs(ctx, slog.LevelWarn, "trying again",
			slog.String("what", what), slog.String("where", where), slog.Duration("wait", wait), slog.String("cause", Cause(err)))
	}, func(ctx context.Context) (struct{}, error) {
		t = &trace{}
		return struct{}{}, op(withTrace(ctx, t))
	})
	if t == nil { // the context ended before the first attempt
		return Transfer{}, err
	}
	return t.transfer(), err
}

// Fault makes an Error of what an operation returned; nil stays nil, and a layer's own failure is not the registry's.
func (c *Client) Fault(ctx context.Context, op string, repo name.Repository, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	if errors.As(err, new(*layerError)) {
		return fmt.Errorf("%s to %s: %w", op, repo.Name(), err)
	}
	kind, status := classify(err)
	e := &Error{Registry: repo.RegistryStr(), Repository: repo.Name(), Op: op, Kind: kind, Status: status, Err: err}
	if kind == Unauthorized || kind == Forbidden {
		auth, err := authn.Resolve(ctx, c.keychain, repo)
		e.Anonymous = err == nil && auth == authn.Anonymous
	}
	return e
}

// Session is a client that keeps what it agrees on with registries, scheme and tokens, and which blobs it has sent. It is
// for one push: a registry may lose a blob between two.
type Session struct {
	*Client
	Pusher *remote.Pusher
	Puller *remote.Puller
}

// NewSession returns a session, and sends nothing.
func (c *Client) NewSession() (*Session, error) {
	pusher, err := remote.NewPusher(c.Options()...)
	if err != nil {
		return nil, fmt.Errorf("preparing push: %w", err)
	}
	puller, err := remote.NewPuller(c.Options()...)
	if err != nil {
		return nil, fmt.Errorf("preparing push: %w", err)
	}
	return &Session{c, pusher, puller}, nil
}

// Upload brings a blob to a repository unless it is there, by mounting it from another repository of the registry if from is
// one. Every attempt opens the layer again and sends it whole. sent hears of its bytes, and of a negative number when bytes did
// not arrive.
func (s *Session) Upload(ctx context.Context, op string, layer v1.Layer, repo name.Repository, from *name.Repository, sent func(int64)) (Transfer, error) {
	transfer, err := s.Retry(ctx, op, repo.Name(), Retryable, func(ctx context.Context) error {
		a := &attempt{Layer: layer, ctx: ctx, sent: sent}
		return a.settle(s.Pusher.Upload(ctx, repo, a.layer(from)))
	})
	return transfer, s.Fault(ctx, op, repo, err)
}

// leaf hides what a manifest refers to, so that go-containerregistry sends it alone.
type leaf struct{ Described }

// Described is an image, an index or any other manifest.
type Described interface {
	partial.Describable
	RawManifest() ([]byte, error)
}

// Put sends a manifest alone. If it has a subject and the registry has no API for referrers, it is listed under the subject's
// fallback tag too (https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema).
func (s *Session) Put(ctx context.Context, op string, ref name.Reference, m Described) error {
	_, err := s.Retry(ctx, op, ref.Name(), Retryable, func(ctx context.Context) error {
		return s.Pusher.Push(ctx, ref, leaf{m})
	})
	return s.Fault(ctx, op, ref.Context(), err)
}
