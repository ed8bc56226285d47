package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/cache/actions"
	"github.com/org/nixery-action/internal/retry"
)

// Caches is the Actions cache of a repository as GitHub's REST API shows it: from anywhere, with a token, while the
// service that a build uses can neither list nor remove. https://docs.github.com/en/rest/actions/cache
type Caches struct{ repository *Repository }

// NewCaches needs a token with actions: read to list, and actions: write to remove.
func NewCaches(repository *Repository) *Caches { return &Caches{repository} }

func (g *Caches) String() string { return "the Actions cache of " + g.repository.String() }

// maxCachePages bounds how long a listing may be: 100,000 entries.
const maxCachePages = 1000

// List implements [Inventory].
func (g *Caches) List(ctx context.Context) ([]cache.Kept, error) {
	prefix, sort, direction := cache.ScopePrefix, "created_at", "asc" // what is added meanwhile comes last, and moves nothing
	o := &github.ActionsCacheListOptions{Key: &prefix, Sort: &sort, Direction: &direction, ListOptions: github.ListOptions{PerPage: 100}}
	all := []cache.Kept{}
	for range maxCachePages {
		page, answer, err := g.repository.Client.Actions.ListCaches(ctx, g.repository.Owner, g.repository.Name, o)
		if err != nil {
			return nil, g.fault(ctx, cache.Listing, "read", err)
		}
		all = appendOurs(all, page.ActionsCaches)
		if answer.NextPage <= o.Page {
			return all, nil
		}
		o.Page = answer.NextPage
	}
	return nil, &cache.StoreError{Store: g.String(), Op: cache.Listing, Err: fmt.Errorf("there are more than %d pages", maxCachePages)}
}

// appendOurs goes by key and version: the keys of other actions may begin as ours do.
func appendOurs(all []cache.Kept, listed []*github.ActionsCache) []cache.Kept {
	for _, c := range listed {
		name, ok := cache.ParseName(c.GetKey())
		if !ok || c.GetVersion() != actions.Version || c.ID == nil {
			continue
		}
		all = append(all, cache.Kept{
			Name: name, Ref: c.GetRef(), Made: c.GetCreatedAt().Time, Used: c.GetLastAccessedAt().Time,
			Size: max(c.GetSizeInBytes(), 0), ID: strconv.FormatInt(c.GetID(), 10),
		})
	}
	return all
}

// Remove implements [Inventory]. It goes by the entry's number: other refs have entries of the same key.
func (g *Caches) Remove(ctx context.Context, entry cache.Kept) error {
	id, err := strconv.ParseInt(entry.ID, 10, 64)
	if err != nil {
		return fmt.Errorf("entry %s is not of %s", entry.Name, g)
	}
	answer, err := g.repository.Client.Actions.DeleteCachesByID(ctx, g.repository.Owner, g.repository.Name, id)
	if err != nil && answer != nil && answer.StatusCode == http.StatusNotFound {
		return nil
	}
	return g.fault(ctx, cache.Removing, "write", err)
}

// fault says what to do about an answer; right is that to the actions of the repository which the request takes.
func (g *Caches) fault(ctx context.Context, op, right string, err error) error {
	if err == nil {
		return nil
	}
	if limit, ok := errors.AsType[*github.RateLimitError](err); ok {
		return g.throttled(op, limit.Response, "requests are used up until "+limit.Rate.Reset.UTC().Format(time.TimeOnly)+" UTC; run it again then")
	}
	if limit, ok := errors.AsType[*github.AbuseRateLimitError](err); ok {
		return g.throttled(op, limit.Response, "too many requests at once; run it again"+afterWait(limit.GetRetryAfter()))
	}
	answer, ok := errors.AsType[*github.ErrorResponse](err)
	if !ok {
		return cache.Failed(ctx, g.String(), op, cache.Unreachable, err)
	}
	if answer.Response.StatusCode == http.StatusTooManyRequests {
		return g.throttled(op, answer.Response, "too many requests; run it again"+afterWait(retry.After(answer.Response.Header.Get("Retry-After"), time.Now())))
	}
	return &cache.StoreError{
		Store: g.String(), Op: op, Kind: cache.StatusKind(answer.Response.StatusCode), Status: answer.Response.StatusCode,
		Message: cache.OwnWords(answer.Message, ""), Err: adviceOn(answer.Response.StatusCode, right),
	}
}

func (g *Caches) throttled(op string, answer *http.Response, advice string) error {
	fault := &cache.StoreError{Store: g.String(), Op: op, Kind: cache.Throttled, Err: errors.New(advice)}
	if answer != nil {
		fault.Status = answer.StatusCode
	}
	return fault
}

func afterWait(wait time.Duration) string {
	if wait <= 0 {
		return " later"
	}
	return " in " + wait.Round(time.Second).String()
}

// adviceOn is nil where the answer speaks for itself.
func adviceOn(status int, right string) error {
	switch status {
	case http.StatusUnauthorized:
		return errors.New("GITHUB_TOKEN is not a token that is valid there")
	case http.StatusForbidden:
		return fmt.Errorf("the token may not do that: in a workflow, add `actions: %s` to permissions", right)
	case http.StatusNotFound:
		return fmt.Errorf("there is no such repository, or the token may not see it: in a workflow, add `actions: %s` to permissions", right)
	}
	return nil
}
