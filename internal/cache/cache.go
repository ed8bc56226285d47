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
)

// Mode says what is saved in a place.
type Mode string

// Min saves ledgers; Max saves blobs, too, for registries that do not have them.
const (
	Min Mode = "min"
	Max Mode = "max"
)

// Place is a store as a user named it.
type Place struct {
	Store Store
	Scope string // keeps lanes apart, see Identity.Lane; blobs are shared by all scopes
	Mode  Mode   // of no meaning for reading
}

// Cache is all places that a run reads and writes. None of its methods fails: what is wrong with a store ends as one line in the
// log for each kind, and in Problems. It is safe for concurrent use.
type Cache struct {
	from, to []*place
	gates    map[Store]*gate // two places with one store share its faults
	order    []*gate
}

type place struct {
	Place
	*gate

	key Key // the zero value believes every ledger, and marks none

	mu     sync.Mutex
	latest map[Lane]latest // what was last seen of a lane
	bad    map[Lane]uint32 // blobs that were damaged, by serial
}

// latest is the newest ledger that was seen in a place.
type latest struct {
	ledger *Ledger
	serial uint32 // 0 if there was none
}

// New returns a cache that reads from some places, in order, and writes to others. Without any it knows nothing and keeps
// nothing. The stores must be comparable, and one that is in several places the same value.
func New(from, to []Place, logger *slog.Logger) *Cache {
	c := &Cache{gates: map[Store]*gate{}}
	for _, p := range from {
		c.from = append(c.from, c.place(p, logger))
	}
	for _, p := range to {
		c.to = append(c.to, c.place(p, logger))
	}
	return c
}

func (c *Cache) place(p Place, logger *slog.Logger) *place {
	if c.gates[p.Store] == nil {
		c.gates[p.Store] = newGate(logger)
		c.order = append(c.order, c.gates[p.Store])
	}
	return &place{Place: p, gate: c.gates[p.Store], latest: map[Lane]latest{}, bad: map[Lane]uint32{}}
}

// WithKey makes the cache believe only ledgers with the mark of a key, and mark what it saves. With the zero Key, marks are not
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

// Open returns what is known about an identity: the newest ledgers of all places, joined. It is empty if nothing is known.
func (c *Cache) Open(ctx context.Context, id Identity) *Ledger {
	ledgers := make([]*Ledger, len(c.from))
	var wait sync.WaitGroup
	for i, p := range c.from {
		wait.Go(func() { ledgers[i] = p.look(ctx, id.Lane(p.Scope)).ledger })
	}
	wait.Wait()
	return join(ledgers...)
}

// look reads the newest ledger of a lane, and remembers it.
func (p *place) look(ctx context.Context, lane Lane) latest {
	seen := latest{ledger: &Ledger{}}
	if !p.mayRead() {
		return seen
	}
	entry, err := p.Store.Newest(ctx, lane)
	if err == nil {
		seen.serial = entry.Name.Serial
		var ledger *Ledger
		if ledger, err = p.readLedger(ctx, entry); err == nil {
			seen.ledger = ledger
		}
	}
	p.read(ctx, err)
	p.remember(lane, seen)
	return seen
}

// readLedger tries once more when the connection breaks: a ledger is small.
func (p *place) readLedger(ctx context.Context, entry Entry) (*Ledger, error) {
	ledger, err := p.decode(ctx, entry)
	var fault *StoreError
	if errors.As(err, &fault) && fault.Kind == Unreachable && fault.again {
		ledger, err = p.decode(ctx, entry)
	}
	return ledger, err
}

func (p *place) decode(ctx context.Context, entry Entry) (*Ledger, error) {
	content, err := entry.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	ledger, err := Decode(ctx, content, p.key, entry.Name.Lane)
	switch {
	case errors.Is(err, ErrUnmarked):
		return nil, failed(ctx, p.Store.String(), readingEntry, Unmarked, err)
	case err != nil:
		return nil, failed(ctx, p.Store.String(), readingEntry, Damaged, err)
	}
	return ledger, nil
}

func (p *place) remember(lane Lane, seen latest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latest[lane] = seen
}

func (p *place) remembered(lane Lane) (latest, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen, ok := p.latest[lane]
	return seen, ok
}

// mostTries bounds how often a ledger is saved under another name: by then as many jobs have written the same lane.
const mostTries = 12

// Save keeps a page of the lane of an identity in every place. It returns when that is done; blobs that somebody may look for
// by this page must have been saved before. A page that says nothing new costs nothing.
func (c *Cache) Save(ctx context.Context, id Identity, page Page) {
	var wait sync.WaitGroup
	for _, p := range c.to {
		wait.Go(func() { p.savePage(ctx, c.seenBy(p, id.Lane(p.Scope)), id.Lane(p.Scope), page) })
	}
	wait.Wait()
}

// seenBy is what was seen of a lane by p, or by a place to read from that has the same store and scope.
func (c *Cache) seenBy(p *place, lane Lane) *latest {
	for _, other := range append([]*place{p}, c.from...) {
		if seen, ok := other.remembered(lane); ok && other.gate == p.gate {
			return &seen
		}
	}
	return nil
}

// savePage writes the ledger's next serial. Names are reserved one after the other, even where look-ups lag behind: so if the
// name is taken, another job has written since, and its ledger is read and built upon. Nothing that two jobs learn at once
// is lost.
func (p *place) savePage(ctx context.Context, seen *latest, lane Lane, page Page) {
	if seen == nil {
		looked := p.look(ctx, lane)
		seen = &looked
	}
	base := seen.ledger
	serial, err := further(p.Store, lane, seen.serial, 1)
	for try := 1; p.mayWrite() && !base.knows(page); try++ {
		ledger := base.With(page)
		if err == nil {
			err = p.save(ctx, Name{lane, serial}, ledger)
		}
		if err == nil {
			p.remember(lane, latest{ledger, serial})
			return
		}
		if !errors.Is(err, ErrExists) || try == mostTries {
			p.write(ctx, takenName(err, p.Store))
			return
		}
		if base, serial, err = p.next(ctx, lane, base, serial, try); ctx.Err() != nil {
			return
		}
	}
}

// further is the serial that is by further on. Only a lane that was tampered with is near the last one, and all that is saved
// after that would never be seen.
func further(store Store, lane Lane, serial, by uint32) (uint32, error) {
	if serial <= math.MaxUint32-by {
		return serial + by, nil
	}
	return 0, &StoreError{Store: store.String(), Op: savingEntry, Err: fmt.Errorf("no name is left after %s: remove that entry", Name{lane, serial})}
}

// takenName is ErrExists as a fault.
func takenName(err error, store Store) error {
	if !errors.Is(err, ErrExists) {
		return err
	}
	return &StoreError{Store: store.String(), Op: savingEntry, Err: errors.New("every name that was tried is taken")}
}

// next is what to build upon when a name is taken, and the serial to try. If the entry that took it is not to be seen, the look-up
// is late, or the entry was never finished: after some patience, names further on are tried.
func (p *place) next(ctx context.Context, lane Lane, base *Ledger, serial uint32, try int) (*Ledger, uint32, error) {
	const mostWaits = 3
	for wait := 1; ; wait++ {
		if seen := p.look(ctx, lane); seen.serial >= serial {
			serial, err := further(p.Store, lane, seen.serial, 1)
			return join(seen.ledger, base), serial, err
		}
		if wait == mostWaits || try > 1 {
			serial, err := further(p.Store, lane, serial, 1<<min(3*(try-1), 24))
			return base, serial, errors.Join(err, ctx.Err())
		}
		if err := sleep(ctx, backoff(wait)); err != nil {
			return nil, 0, err
		}
	}
}

func (p *place) save(ctx context.Context, name Name, ledger *Ledger) error {
	file, err := ledger.Encode(p.key, name.Lane)
	if err != nil {
		return err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file)), nil }
	return p.Store.Save(ctx, name, int64(len(file)), open)
}
