package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/org/nixery-action/internal/cache"
)

// Store is a [Store] that keeps entries as OCI artifacts in a repository. A scope is a tag, and its newest entry is what the tag
// points to; older ones are left to the registry's own clean-up.
//
// No registry can move a tag only if no other job has. Two jobs that save to one scope within the same second may therefore
// lose what one of them saved; a job that sees its tag moved says [ErrExists].
type Store struct {
	tag    name.Tag
	begin  string // of all tags: the user's tag and a hyphen, or ""
	puller *remote.Puller
	pusher *remote.Pusher
}

// Options say how to reach a registry.
type Options struct {
	Keychain  authn.Keychain  // nil means anonymous
	Transport *http.Transport // is cloned; nil means go-containerregistry's
	UserAgent string
	// Insecure lists hosts, with or without a port, that may speak plain HTTP, or TLS with any certificate. Loopback may always
	// speak plain HTTP.
	Insecure []string
}

// New returns a store in the repository of ref. A tag in ref begins the tags of all entries.
func New(ref string, o Options) (*Store, error) {
	tag, err := cache.ParseRef(ref)
	if err != nil {
		return nil, err
	}
	guard := newLimitedTransport(o.Transport, o.Insecure)
	r := &Store{tag: tag}
	if err := r.connect(registryOptions(guard, o)); err != nil {
		return nil, fmt.Errorf("cache %q: %w", ref, err)
	}
	if tag.TagStr() != "" {
		r.begin = tag.TagStr() + "-"
	}
	if guard.allowsPlain(tag.RegistryStr()) {
		plain, err := name.NewRegistry(tag.RegistryStr(), name.Insecure)
		if err != nil {
			return nil, fmt.Errorf("cache %q: %w", ref, err)
		}
		r.tag.Registry = plain
	}
	return r, nil
}

// connect sends nothing yet. Puller and pusher keep what they agree on with the registry: scheme and tokens.
func (r *Store) connect(options []remote.Option) (err error) {
	if r.puller, err = remote.NewPuller(options...); err != nil {
		return err
	}
	r.pusher, err = remote.NewPusher(options...)
	return err
}

func registryOptions(guard *limitedTransport, o Options) []remote.Option {
	keychain := o.Keychain
	if keychain == nil {
		keychain = authn.NewMultiKeychain()
	}
	return []remote.Option{
		remote.WithTransport(guard), remote.WithAuthFromKeychain(keychain), remote.WithUserAgent(o.UserAgent),
		// Retries are ours: these would sleep through a cancelled context, and know nothing of the others' rules.
		remote.WithRetryPredicate(func(error) bool { return false }), remote.WithRetryStatusCodes(),
	}
}

func (r *Store) String() string { return "registry " + strings.TrimSuffix(r.tag.Name(), ":") }

func (r *Store) scopeTag(scope cache.Scope) name.Tag {
	return r.tag.Context().Tag(r.begin + string(scope))
}

// Newest implements [Store].
func (r *Store) Newest(ctx context.Context, scope cache.Scope) (cache.Entry, error) {
	var manifest []byte
	err := r.do(ctx, cache.Finding, func() error {
		descriptor, err := r.puller.Get(ctx, r.scopeTag(scope))
		if err == nil {
			manifest = descriptor.Manifest
		}
		return err
	})
	if err != nil {
		return cache.Entry{}, err
	}
	entry, content, err := parseArtifact(scope, manifest)
	if err != nil {
		return cache.Entry{}, cache.Failed(ctx, r.String(), cache.Finding, cache.Damaged, err)
	}
	entry.Open = func(ctx context.Context) (io.ReadCloser, error) { return r.read(ctx, content) }
	return entry, nil
}

func (r *Store) read(ctx context.Context, digest v1.Hash) (content io.ReadCloser, err error) {
	err = r.do(ctx, cache.Reading, func() error {
		layer, err := r.puller.Layer(ctx, r.tag.Context().Digest(digest.String()))
		if err != nil {
			return err
		}
		content, err = layer.Compressed() // which verifies digests itself
		return err
	})
	if err != nil {
		return nil, err
	}
	return &faultyBody{content, func(err error) error { return cache.Failed(ctx, r.String(), cache.Reading, cache.Damaged, err) }}, nil
}

// faultyBody makes errors of reading the store's.
type faultyBody struct {
	io.ReadCloser
	fault func(error) error
}

func (b *faultyBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.fault(err)
	}
	return n, err
}

// Save implements [Store]. It reads the content twice: first for its digest.
func (r *Store) Save(ctx context.Context, entry cache.Name, size int64, open func() (io.ReadCloser, error)) error {
	if err := entry.Check(); err != nil {
		return cache.Failed(ctx, r.String(), cache.Saving, cache.Other, err)
	}
	newest, err := r.Newest(ctx, entry.Scope)
	if err == nil && newest.Name.Serial >= entry.Serial {
		return cache.ErrExists
	}
	var damaged *cache.StoreError
	if err != nil && !errors.Is(err, cache.ErrNotFound) && !(errors.As(err, &damaged) && damaged.Kind == cache.Damaged) {
		return err
	}
	digest, err := digestContent(ctx, size, open)
	if err != nil {
		return cache.Failed(ctx, r.String(), cache.Saving, cache.Other, err)
	}
	a, err := newArtifact(entry, artifactLayer{digest, size, open})
	if err != nil {
		return cache.Failed(ctx, r.String(), cache.Saving, cache.Other, err)
	}
	return r.push(ctx, r.scopeTag(entry.Scope), a)
}

// push sends what the manifest names, then moves the tag, and looks if it stayed there.
func (r *Store) push(ctx context.Context, tag name.Tag, a artifact) error {
	err := r.do(ctx, cache.Saving, func() error {
		for _, layer := range []v1.Layer{a.content, a.config} {
			if err := r.pusher.Upload(ctx, tag.Context(), layer); err != nil {
				return err
			}
		}
		return r.pusher.Put(ctx, tag, a)
	})
	if err != nil {
		return err
	}
	return r.do(ctx, cache.Saving, func() error {
		now, err := r.puller.Head(ctx, tag)
		if err == nil && now.Digest != cache.DigestOf(a.manifest) {
			return cache.ErrExists
		}
		return err
	})
}

// do runs an exchange with the registry, again if that may help.
func (r *Store) do(ctx context.Context, op string, exchange func() error) error {
	_, err := cache.Retry(ctx, func() (struct{}, error) { return struct{}{}, r.fault(ctx, op, exchange()) })
	return err
}

// fault reads an error of go-containerregistry's.
func (r *Store) fault(ctx context.Context, op string, err error) error {
	var answer *transport.Error
	switch {
	case err == nil, errors.Is(err, cache.ErrExists):
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !errors.As(err, &answer):
		// The text has the causes of both schemes, URLs with queries, and the whole of an answer in which no token was found.
		text, _, _ := strings.Cut(err.Error(), " in bearer response")
		return &cache.StoreError{Store: r.String(), Op: op, Kind: cache.Unreachable, Message: cache.OwnWords(text, ""), Again: true}
	case answer.StatusCode == http.StatusNotFound && op != cache.Saving:
		return cache.ErrNotFound
	}
	fault := &cache.StoreError{Store: r.String(), Op: op, Kind: cache.StatusKind(answer.StatusCode), Status: answer.StatusCode}
	fault.Again = fault.Kind == cache.Unreachable && answer.StatusCode != http.StatusBadGateway
	for _, diagnostic := range answer.Errors {
		fault.Message = cache.OwnWords(diagnostic.Message, "")
		// docker's registry may not see yet what another job has just uploaded too.
		fault.Again = fault.Again || diagnostic.Code == transport.ManifestBlobUnknownErrorCode
	}
	return fault
}
