package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"sync"

	"github.com/org/nixery-action/internal/retry"
)

// Mode says what is saved in a place.
type Mode string

// Min saves histories; Max saves blobs, too, for registries that do not have them.
const (
	Min Mode = "min"
	Max Mode = "max"
)

// Place is a store as a user named it.
type Place struct {
	Store Store
	Scope string // keeps scopes apart, see Identity.Lane; blobs are shared by all scopes
	Mode  Mode   // of no meaning for reading
}

// Cache is all places that a run reads and writes. None of its methods fails: what is wrong with a store ends as one line in the
// log for each kind, and in Problems. It is safe for concurrent use.
type Cache struct {
	from, to []*place
	statuses map[Store]*storeStatus // two places with one store share its faults
	order    []*storeStatus
}

type place struct {
	Place
	*storeStatus

	key Key // the zero value trusts every history, and marks none

	mu       sync.Mutex
	latest   map[Scope]latest // what was last seen of a scope
	rejected map[Scope]uint32 // blobs that were damaged, by serial
}

// latest is the newest history that was seen in a place.
type latest struct {
	history *History
	serial  uint32 // 0 if there was none
}

// New returns a cache that reads from some places, in order, and writes to others. Without any it knows nothing and keeps
// nothing. The stores must be comparable, and one that is in several places the same value.
func New(from, to []Place, logger *slog.Logger) *Cache {
	c := &Cache{statuses: map[Store]*storeStatus{}}
	for _, p := range from {
		c.from = append(c.from, c.place(p, logger))
	}
	for _, p := range to {
		c.to = append(c.to, c.place(p, logger))
	}
	return c
}

func (c *Cache) place(p Place, logger *slog.Logger) *place {
	if c.statuses[p.Store] == nil {
		c.statuses[p.Store] = newStoreStatus(logger)
		c.order = append(c.order, c.statuses[p.Store])
	}
	return &place{Place: p, storeStatus: c.statuses[p.Store], latest: map[Scope]latest{}, rejected: map[Scope]uint32{}}
}

// WithKey makes the cache trust only histories with the mark of a key, and mark what it saves. With the zero Key, marks are not
// looked at. It is called before anything else.
func (c *Cache) WithKey(key Key) *Cache {
	for _, p := range slices.Concat(c.from, c.to) {
		p.key = key
	}
	return c
}

// Reads tells whether there is any place to read from.
func (c *Cache) Reads() bool { return len(c.from) > 0 }

// Problems are the faults of stores so far, one for each store and kind: the reasons why the cache was of less use than it might
// have been. They are [*StoreError] or what a caller's own content gave.
func (c *Cache) Problems() []error {
	var all []error
	for _, g := range c.order {
		all = append(all, g.problems()...)
	}
	return all
}

// Open returns what is known about an identity: the newest histories of all places, joined. It is empty if nothing is known.
func (c *Cache) Open(ctx context.Context, id Identity) *History {
	histories := make([]*History, len(c.from))
	var wait sync.WaitGroup
	for i, p := range c.from {
		wait.Go(func() { histories[i] = p.look(ctx, id.Scope(p.Scope)).history })
	}
	wait.Wait()
	return join(histories...)
}

// look reads the newest history of a scope, and remembers it.
func (p *place) look(ctx context.Context, scope Scope) latest {
	seen := latest{history: &History{}}
	if !p.mayRead() {
		return seen
	}
	entry, err := p.Store.Newest(ctx, scope)
	if err == nil {
		seen.serial = entry.Name.Serial
		var history *History
		if history, err = p.readHistory(ctx, entry); err == nil {
			seen.history = history
		}
	}
	p.read(ctx, err)
	p.remember(scope, seen)
	return seen
}

// readHistory tries once more when the connection breaks: a history is small.
func (p *place) readHistory(ctx context.Context, entry Entry) (*History, error) {
	history, err := p.decode(ctx, entry)
	var fault *StoreError
	if errors.As(err, &fault) && fault.Kind == Unreachable && fault.Again {
		history, err = p.decode(ctx, entry)
	}
	return history, err
}

func (p *place) decode(ctx context.Context, entry Entry) (*History, error) {
	content, err := entry.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	history, err := Decode(ctx, content, p.key, entry.Name.Scope)
	switch {
	case errors.Is(err, ErrUnmarked):
		return nil, Failed(ctx, p.Store.String(), Reading, Unmarked, err)
	case err != nil:
		return nil, Failed(ctx, p.Store.String(), Reading, Damaged, err)
	}
	return history, nil
}

func (p *place) remember(scope Scope, seen latest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latest[scope] = seen
}

func (p *place) remembered(scope Scope) (latest, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen, ok := p.latest[scope]
	return seen, ok
}

// maxTries bounds how often a history is saved under another name: by then as many jobs have written the same scope.
const maxTries = 12

// Save keeps a snapshot of the scope of an identity in every place. It returns when that is done; blobs that this snapshot
// names must have been saved before. A snapshot that says nothing new costs nothing.
func (c *Cache) Save(ctx context.Context, id Identity, snapshot Snapshot) {
	var wait sync.WaitGroup
	for _, p := range c.to {
		wait.Go(func() { p.saveSnapshot(ctx, c.seenBy(p, id.Scope(p.Scope)), id.Scope(p.Scope), snapshot) })
	}
	wait.Wait()
}

// seenBy is what was seen of a scope by p, or by a place to read from that has the same store and scope.
func (c *Cache) seenBy(p *place, scope Scope) *latest {
	for _, other := range append([]*place{p}, c.from...) {
		if seen, ok := other.remembered(scope); ok && other.storeStatus == p.storeStatus {
			return &seen
		}
	}
	return nil
}

// saveSnapshot writes the history's next serial. Names are reserved one after the other, even where look-ups lag behind: so if the
// name is taken, another job has written since, and its history is read and built upon. Nothing that two jobs save at once
// is lost.
func (p *place) saveSnapshot(ctx context.Context, seen *latest, scope Scope, snapshot Snapshot) {
	if seen == nil {
		looked := p.look(ctx, scope)
		seen = &looked
	}
	base := seen.history
	serial, err := further(p.Store, scope, seen.serial, 1)
	for try := 1; p.mayWrite() && !base.contains(snapshot); try++ {
		history := base.With(snapshot)
		if err == nil {
			err = p.save(ctx, Name{scope, serial}, history)
		}
		if err == nil {
			p.remember(scope, latest{history, serial})
			return
		}
		if !errors.Is(err, ErrExists) || try == maxTries {
			p.write(ctx, takenName(err, p.Store))
			return
		}
		if base, serial, err = p.next(ctx, scope, base, serial, try); ctx.Err() != nil {
			return
		}
	}
}

// further is the serial that is by further on. Only a scope that was tampered with is near the last one, and all that is saved
// after that would never be seen.
func further(store Store, scope Scope, serial, by uint32) (uint32, error) {
	if serial <= math.MaxUint32-by {
		return serial + by, nil
	}
	return 0, &StoreError{Store: store.String(), Op: Saving, Err: fmt.Errorf("no name is left after %s: remove that entry", Name{scope, serial})}
}

// takenName is ErrExists as a fault.
func takenName(err error, store Store) error {
	if !errors.Is(err, ErrExists) {
		return err
	}
	return &StoreError{Store: store.String(), Op: Saving, Err: errors.New("every name that was tried is taken")}
}

// next is what to build upon when a name is taken, and the serial to try. If the entry that took it is not to be seen, the look-up
// is late, or the entry was never finished: after some patience, names further on are tried.
func (p *place) next(ctx context.Context, scope Scope, base *History, serial uint32, try int) (*History, uint32, error) {
	judge := func(err error) retry.Verdict { return retry.Verdict{Again: errors.Is(err, ErrNotFound) && try == 1} }
	seen, err := retry.Do(ctx, retry.Policy{Attempts: 3, First: policy.First}, judge, nil, func(ctx context.Context) (latest, error) {
		seen := p.look(ctx, scope)
		if seen.serial < serial {
			return seen, ErrNotFound
		}
		return seen, nil
	})
	switch {
	case err == nil:
		serial, err := further(p.Store, scope, seen.serial, 1)
		return join(seen.history, base), serial, err
	case errors.Is(err, ErrNotFound):
		serial, err := further(p.Store, scope, serial, 1<<min(3*(try-1), 24))
		return base, serial, errors.Join(err, ctx.Err())
	}
	return nil, 0, err
}

func (p *place) save(ctx context.Context, name Name, history *History) error {
	file, err := history.Encode(p.key, name.Scope)
	if err != nil {
		return err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file)), nil }
	return p.Store.Save(ctx, name, int64(len(file)), open)
}
