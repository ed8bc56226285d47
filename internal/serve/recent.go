package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/blobstore"
	"github.com/org/nixery-action/internal/build"
	"github.com/org/nixery-action/internal/spec"
)

// recent caches the digests that tags resolved to: in memory, and behind it in the blobstore, where other processes and later ones
// find them.
type recent struct {
	store *blobstore.Store
	fresh time.Duration
	now   func() time.Time

	mu     sync.Mutex
	all    map[string]answer
	latest answer // the newest one of that tag
}

// answer is what came of a query: a digest, or an error that the next client would meet, too.
type answer struct {
	query
	digest v1.Hash
	err    error
	source string // pinned
	made   time.Time
	fixed  bool
}

const (
	maxAnswers = 4096
	// A missing package may be added, and clients that wait for it try now and then.
	freshError = 30 * time.Second
)

// errUnknown says that there is no answer, or that it is too old.
var errUnknown = errors.New("not known")

// look returns the digest that a query was answered with lately, the error that it met, or errUnknown.
func (r *recent) look(ctx context.Context, q query, key string) (v1.Hash, error) {
	if a, ok := r.remembered(key); ok {
		return a.digest, a.err
	}
	tag, err := r.store.Tag(ctx, key)
	if errors.Is(err, blobstore.ErrNotFound) {
		return v1.Hash{}, errUnknown
	}
	if err != nil {
		return v1.Hash{}, err
	}
	a := answer{query: q, digest: tag.Digests[q.variant()], source: tag.Source, made: tag.Made, fixed: tag.Fixed}
	if a.digest == (v1.Hash{}) || !r.isFresh(a) {
		return v1.Hash{}, errUnknown
	}
	r.remember(key, a)
	return a.digest, nil
}

func (r *recent) remembered(key string) (answer, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.all[key]
	return a, ok && r.isFresh(a)
}

func (r *recent) isFresh(a answer) bool {
	age := r.now().Sub(a.made)
	if a.err != nil {
		return age < min(r.fresh, freshError)
	}
	// A clock that went back makes nothing fresh for longer.
	return a.fixed || age < r.fresh && age > -r.fresh
}

func (r *recent) remember(key string, a answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) >= maxAnswers {
		maps.DeleteFunc(r.all, func(_ string, a answer) bool { return !r.isFresh(a) })
	}
	if len(r.all) >= maxAnswers {
		clear(r.all) // the blobstore has the rest
	}
	r.all[key] = a
	if a.tag == latest && a.err == nil && a.made.After(r.latest.made) {
		r.latest = a
	}
}

// source is what the tag latest was last made of.
func (r *recent) source() (pinned string, when time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.latest.source, r.latest.made
}

// forget drops all that the blobstore may have lost; errors stay.
func (r *recent) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.all, func(_ string, a answer) bool { return a.err == nil })
}

// keep remembers an answer for good: here, and in the blobstore.
func (r *recent) keep(ctx context.Context, key string, a answer) error {
	r.remember(key, a)
	return r.store.SetTag(ctx, key, blobstore.Tag{
		Digests: map[string]v1.Hash{a.variant(): a.digest}, Made: a.made, Source: a.source, Fixed: a.fixed,
	})
}

// tags lists the tags that an image was pulled by lately, sorted, and one of the digests that they stand for.
func (r *recent) tags(image string) (tags []string, digest v1.Hash) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[string]bool{}
	for _, a := range r.all {
		if a.image == image && a.err == nil {
			seen[a.tag], digest = true, a.digest
		}
	}
	return slices.Sorted(maps.Keys(seen)), digest
}

// pins has what moving sources stand for now, each asked once in a while, however many builds there are.
type pins struct {
	fresh time.Duration
	now   func() time.Time
	log   *slog.Logger

	mu  sync.Mutex
	all map[string]*pin
}

type pin struct {
	turn   // guards the rest
	source *build.Pinned
	when   time.Time
}

// maxPins bounds what is remembered: any client may name a branch.
const maxPins = 256

// of returns the commit that a source resolves to. If the source is out of reach, the last answer counts.
func (p *pins) of(ctx context.Context, line *build.Builder, source spec.Nixpkgs) (*build.Pinned, error) {
	e, err := p.entry(source)
	if err != nil {
		return nil, err
	}
	if err := e.lock(ctx); err != nil {
		return nil, err
	}
	defer e.unlock()
	old := e.source
	if old != nil && p.now().Sub(e.when) < p.fresh {
		return old, nil
	}
	asked := p.now()
	pinned, err := line.Pin(ctx, source)
	if err != nil && old != nil && ctx.Err() == nil {
		p.log.Warn("the package source cannot be resolved now; its last commit is used", "source", old.Report().Source, "since", e.when, "cause", err)
		return old, nil
	}
	if err != nil {
		return nil, err
	}
	e.source, e.when = pinned, asked
	return pinned, nil
}

// entry is that of a source; a new one if there is none.
func (p *pins) entry(source spec.Nixpkgs) (*pin, error) {
	key, err := json.Marshal(source)
	if err != nil {
		return nil, fmt.Errorf("reading the package source: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e, ok := p.all[string(key)]
	if !ok {
		if len(p.all) >= maxPins {
			clear(p.all)
		}
		e = &pin{turn: newTurn()}
		p.all[string(key)] = e
	}
	return e, nil
}

// turn is a lock that is waited for only as long as a context lasts. Its holder may ask a network or a process.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// lock returns the context's cause if that ends first.
func (t turn) lock(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (t turn) unlock() { <-t }
