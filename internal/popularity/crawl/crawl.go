package crawl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nix-community/go-nix/pkg/narinfo/signature"
	"golang.org/x/sync/errgroup"

	"github.com/org/nixery-action/internal/fetch"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/retry"
)

// Cache is a binary cache to count. Its methods may be called from any
// goroutine, but a state file serves one count at a time.
type Cache struct {
	URL   string                // as in Nix's setting substituters, http or https
	Keys  []signature.PublicKey // if any, a narinfo must be signed by one of them
	Jobs  int                   // requests at once; 0 for 32
	State string                // file that keeps the answers until the count is over; empty for none
	Agent string                // User-Agent
	Log   *slog.Logger

	retry   retry.Policy  // of one file; the zero value is the usual one
	timeout time.Duration // of one attempt; 0 for the usual one

	mu     sync.Mutex
	client *fetch.Client
}

const (
	defaultJobs = 32
	// patience is how many store paths in a row may stay without an answer, each
	// after several attempts, before the cache counts as down.
	patience = 20
	// A channel's list may name a few paths that the cache no longer has.
	maxLost = 2 // at most one path in maxLost
)

// Why is the reason for which a store path's references are not in the counts.
type Why string

// The reasons.
const (
	Absent     Why = "absent"     // the cache does not have it
	Malformed  Why = "malformed"  // its narinfo cannot be read, or is another's
	Unsigned   Why = "unsigned"   // no trusted key has signed its narinfo
	Unanswered Why = "unanswered" // the cache failed each time; the next run with the same state asks again
)

// Loss is a store path whose references are not in the counts.
type Loss struct {
	Path   nix.StorePath `json:"path"`
	Why    Why           `json:"why"`
	Detail string        `json:"detail,omitempty"` // what was wrong with the answer
}

// Census is the result of counting a cache.
type Census struct {
	Tally *Tally
	Lost  []Loss // sorted by path
}

// Sum says how many were lost for which reason, as in "3 absent, 1 unsigned".
func (c *Census) Sum() string {
	count := map[Why]int{}
	for _, loss := range c.Lost {
		count[loss.Why]++
	}
	var parts []string
	for _, why := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%d %s", count[why], why))
	}
	return strings.Join(parts, ", ")
}

// Complete reports whether each path had an answer, so that another run would
// find no more.
func (c *Census) Complete() bool {
	return !slices.ContainsFunc(c.Lost, func(l Loss) bool { return l.Why == Unanswered })
}

// Count asks the cache for the narinfo of each path and counts what they refer
// to. progress is called as paths are done, those that the state file has already
// in one go; never by two goroutines at once.
//
// Single narinfos that are absent, malformed or unsigned are in Lost, and no
// error. It is an error if more than half are lost, or if the cache is down. After
// an error, and after a cancelled context, the same call continues where it was.
// The state file stays; remove it when the counts are safe.
func (c *Cache) Count(ctx context.Context, paths []nix.StorePath, progress func(done int)) (*Census, error) {
	base, err := fetch.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("binary cache: %w", err)
	}
	base.RawQuery, base.Fragment = "", "" // in Nix's settings they are for Nix, not for the server
	count := &crawl{cache: c, base: base, web: c.web(), progress: progress, tally: &Tally{}}
	if err := count.checkCache(ctx); err != nil {
		return nil, fmt.Errorf("binary cache %s: %w", fetch.Bare(base), err)
	}
	open, err := count.resume(c.State, paths)
	if err != nil {
		return nil, err
	}
	err = count.run(ctx, open)
	if closeErr := count.journal.close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, fmt.Errorf("counting %s: %w", fetch.Bare(base), err)
	}
	return count.census(paths)
}

func (c *Cache) web() *fetch.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == nil {
		c.client = fetch.New(fetch.Options{Agent: c.Agent, Connections: c.jobs(), Timeout: c.timeout, Retry: c.retry, Note: func(where string, wait time.Duration, cause error) {
			c.Log.Debug("trying again", "where", where, "wait", wait, "cause", cause)
		}})
	}
	return c.client
}

func (c *Cache) jobs() int { return cmp.Or(c.Jobs, defaultJobs) }

// crawl is one count that runs.
type crawl struct {
	cache    *Cache
	base     *url.URL
	web      *fetch.Client
	progress func(done int)

	mu      sync.Mutex // of what follows
	journal *journal
	tally   *Tally
	lost    []Loss
	unheard int // paths in a row without an answer
}

// checkCache verifies that the URL is a binary cache of this store, before the count
// sends a hundred thousand requests.
func (c *crawl) checkCache(ctx context.Context) error {
	text, _, err := c.web.Get(ctx, c.base.JoinPath("nix-cache-info"), maxNarinfo, nil)
	if err != nil {
		return fmt.Errorf("reading nix-cache-info: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if dir, ok := strings.CutPrefix(line, "StoreDir:"); ok {
			if dir = strings.TrimSpace(dir); dir != nix.StoreDir {
				return fmt.Errorf("it is of the store %s, not %s", dir, nix.StoreDir)
			}
			return nil
		}
	}
	return errors.New("it has no StoreDir in its nix-cache-info")
}

// resume replays the journal, and returns the paths that it lacks.
func (c *crawl) resume(file string, paths []nix.StorePath) (left []nix.StorePath, err error) {
	wanted := make(map[nix.StorePath]bool, len(paths))
	inputs := []string{fetch.Bare(c.base)}
	for _, key := range c.cache.Keys {
		inputs = append(inputs, key.String())
	}
	slices.Sort(inputs[1:])
	inputs = append(inputs, "paths")
	for _, path := range slices.Sorted(slices.Values(paths)) {
		inputs = append(inputs, string(path))
		wanted[path] = true
	}
	known := 0
	c.journal, err = openJournal(file, inputsOf(inputs...), func(e entry) {
		if wanted[e.Path] {
			delete(wanted, e.Path)
			c.take(e)
			known++
		}
	})
	if known > 0 {
		c.progress(known)
	}
	return slices.Sorted(maps.Keys(wanted)), err
}

func (c *crawl) run(ctx context.Context, paths []nix.StorePath) error {
	tasks, running := errgroup.WithContext(ctx)
	tasks.SetLimit(c.cache.jobs())
	for _, path := range paths {
		if running.Err() != nil {
			break
		}
		tasks.Go(func() error { return c.ask(running, path) })
	}
	if err := tasks.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// ask fetches the narinfo of one path.
func (c *crawl) ask(ctx context.Context, path nix.StorePath) error {
	var references []nix.StorePath
	_, _, err := c.web.Get(ctx, c.base.JoinPath(path.Hash()+".narinfo"), maxNarinfo, func(text []byte) (err error) {
		references, err = parseNarinfo(path, text, c.cache.Keys)
		if err != nil {
			return &narinfoError{err}
		}
		return nil
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.progress(1)
	e := entry{Path: path}
	switch e.Why = why(err); e.Why {
	case "":
		e.Names = slices.Sorted(maps.Keys(namesOf(path, references)))
	case Unanswered:
		return c.miss(path, err)
	case Malformed:
		e.Detail = err.Error()
	}
	c.unheard = 0
	c.take(e)
	return c.journal.write(e)
}

// miss counts a path without an answer. It is not in the journal, so the next run
// asks for it again.
func (c *crawl) miss(path nix.StorePath, err error) error {
	c.lost = append(c.lost, Loss{path, Unanswered, err.Error()})
	if c.unheard++; c.unheard == patience {
		return fmt.Errorf("%d store paths in a row had no answer; the last: %w", patience, err)
	}
	return nil
}

// narinfoError is an answer that is not a valid narinfo of the path.
type narinfoError struct{ error }

func (e *narinfoError) Unwrap() error { return e.error }

func why(err error) Why {
	if status, ok := errors.AsType[*fetch.StatusError](err); ok && status.Absent() {
		return Absent
	}
	if _, ok := errors.AsType[*narinfoError](err); !ok && err != nil {
		return Unanswered
	}
	switch {
	case err == nil:
		return ""
	case errors.Is(err, errUnsigned):
		return Unsigned
	}
	return Malformed
}

func (c *crawl) take(e entry) {
	if e.Why != "" {
		c.lost = append(c.lost, Loss{e.Path, e.Why, e.Detail})
		return
	}
	names := make(map[string]bool, len(e.Names))
	for _, name := range e.Names {
		names[name] = true
	}
	c.tally.add(e.Path, names)
}

func (c *crawl) census(paths []nix.StorePath) (*Census, error) {
	slices.SortFunc(c.lost, func(a, b Loss) int { return cmp.Compare(a.Path, b.Path) })
	all := &Census{Tally: c.tally, Lost: c.lost}
	if len(c.lost)*maxLost > len(paths) {
		return nil, &LostError{Census: all, Cache: fetch.Bare(c.base), Paths: len(paths)}
	}
	return all, nil
}

// LostError reports that a cache lacks more than half of the paths: the list is not
// of this cache, or the keys are wrong.
type LostError struct {
	*Census
	Cache string
	Paths int // that were asked for
}

func (e *LostError) Error() string {
	return fmt.Sprintf("counting %s: of %d store paths %s; is this the cache for that list, and are these its keys?", e.Cache, e.Paths, e.Sum())
}
