package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// nixpkgsCommits tells by GitHub's API whether a commit is on a branch of nixpkgs that its maintainers alone push to: master, or one of the
// releases'. An archive of github.com/NixOS/nixpkgs may be of any fork's commit.
type nixpkgsCommits struct {
	api     string // https://api.github.com
	channel string // whose release is looked at before others
	now     func() time.Time

	turn     chan struct{} // holds one token: one question at a time
	mu       sync.Mutex
	known    map[string]verdict
	releases []string // newest first
	listed   time.Time
	paused   time.Time // when the API last refused or failed
}

// verdict is what was found out about a commit, and when. That it is on a branch stays true.
type verdict struct {
	on   string // a branch, or ""
	when time.Time
}

const (
	officialAPI    = "https://api.github.com"
	maxVerdicts    = 4096
	maxReleases    = 4 // that are looked at: two years
	freshVerdict   = 10 * time.Minute
	freshReleases  = 24 * time.Hour
	pause          = time.Minute
	compareTimeout = time.Minute
	maxAnswer      = 8 << 20
)

func newCommits(api, channel string) *nixpkgsCommits {
	c := &nixpkgsCommits{api: strings.TrimSuffix(api, "/"), channel: channel, now: time.Now, turn: make(chan struct{}, 1), known: map[string]verdict{}}
	c.turn <- struct{}{}
	return c
}

// check is nil for a commit on a branch of nixpkgs, an [*unreachedError] for another, and an [*unsureError] where nothing can be found out.
func (c *nixpkgsCommits) check(ctx context.Context, commit string) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.turn:
	}
	defer func() { c.turn <- struct{}{} }()
	v, ok := c.remembered(commit)
	if !ok {
		if age := c.now().Sub(c.paused); age >= 0 && age < pause {
			return &unsureError{errors.New("GitHub's API gave no answer a moment ago")}
		}
		asking, stop := context.WithTimeout(ctx, compareTimeout)
		defer stop()
		on, err := c.ask(asking, commit)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			c.paused = c.now()
			return &unsureError{err}
		}
		v = verdict{on, c.now()}
		c.remember(commit, v)
	}
	if v.on == "" {
		return &unreachedError{commit, "is on neither master nor a recent release branch of nixpkgs", c.now().Sub(v.when)}
	}
	return nil
}

func (c *nixpkgsCommits) remembered(commit string) (verdict, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.known[commit]
	return v, ok && (v.on != "" || c.now().Sub(v.when) < freshVerdict)
}

func (c *nixpkgsCommits) remember(commit string, v verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxVerdicts {
		clear(c.known)
	}
	c.known[commit] = v
}

// ask compares a commit with each branch; "" if none has it.
func (c *nixpkgsCommits) ask(ctx context.Context, commit string) (branch string, err error) {
	if err := c.list(ctx); err != nil {
		return "", err
	}
	for _, branch := range append([]string{"master"}, c.releases...) {
		var comparison struct {
			Status string `json:"status"`
		}
		// The second page has neither files nor patches.
		found, err := c.get(ctx, "/repos/NixOS/nixpkgs/compare/"+branch+"..."+commit+"?per_page=1&page=2", &comparison)
		if err != nil {
			return "", err
		}
		if !found { // GitHub knows no such commit, on whatever branch
			return "", nil
		}
		if comparison.Status == "behind" || comparison.Status == "identical" {
			return branch, nil
		}
	}
	return "", nil
}

var releaseForm = regexp.MustCompile(`^refs/heads/(release-([0-9]{2}\.[0-9]{2}))$`)

// list finds the branches of releases, once a day: that of the channel, then the newest.
func (c *nixpkgsCommits) list(ctx context.Context) error {
	if !c.listed.IsZero() && c.now().Sub(c.listed) < freshReleases {
		return nil
	}
	var refs []struct {
		Ref string `json:"ref"`
	}
	if _, err := c.get(ctx, "/repos/NixOS/nixpkgs/git/matching-refs/heads/release-", &refs); err != nil {
		return err
	}
	var own, others []string
	for _, ref := range refs {
		match := releaseForm.FindStringSubmatch(ref.Ref)
		switch {
		case match == nil:
		case strings.Contains(c.channel, match[2]):
			own = append(own, match[1])
		default:
			others = append(others, match[1])
		}
	}
	slices.Sort(others)
	slices.Reverse(others)
	c.releases, c.listed = append(own, others[:min(len(others), maxReleases)]...), c.now()
	return nil
}

// get asks the API. It is false for what GitHub does not know.
func (c *nixpkgsCommits) get(ctx context.Context, path string, into any) (found bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.api+path, http.NoBody)
	if err != nil {
		return false, fmt.Errorf("asking GitHub: %w", err)
	}
	r.Header.Set("Accept", "application/vnd.github+json")
	answer, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(r)
	if err != nil {
		return false, fmt.Errorf("asking GitHub: %w", err)
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusUnprocessableEntity:
		return false, nil
	default:
		return false, fmt.Errorf("asking GitHub: %s", answer.Status)
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(into); err != nil {
		return false, fmt.Errorf("reading GitHub's answer: %w", err)
	}
	return true, nil
}
