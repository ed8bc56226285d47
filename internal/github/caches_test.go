package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/cache/actions"
	"github.com/org/nixery-action/internal/cache/cachetest"
)

const hubToken = "ghp_hunter2"

// cachesAPI is GitHub's list of caches, as its REST API shows it, two a page.
type cachesAPI struct {
	*httptest.Server
	entries  []map[string]any
	requests []string
	answer   http.HandlerFunc // instead of all else
}

func newCachesAPI(t *testing.T) *cachesAPI {
	api := &cachesAPI{}
	api.Server = httptest.NewServer(http.HandlerFunc(api.serve))
	t.Cleanup(api.Close)
	return api
}

func (a *cachesAPI) add(key, version, ref string) {
	a.entries = append(a.entries, map[string]any{
		"id": len(a.entries) + 1, "key": key, "version": version, "ref": ref, "size_in_bytes": 100,
		"created_at": cachetest.Day(1), "last_accessed_at": cachetest.Day(2),
	})
}

func (a *cachesAPI) serve(w http.ResponseWriter, r *http.Request) {
	a.requests = append(a.requests, r.Method+" "+r.URL.RequestURI())
	const path = "/api/v3/repos/acme/box/actions/caches"
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	page = max(page, 1)
	switch {
	case r.Header.Get("Authorization") != "Bearer "+hubToken:
		http.Error(w, `{"message": "Bad credentials"}`, http.StatusUnauthorized)
	case a.answer != nil:
		a.answer(w, r)
	case r.Method == http.MethodDelete && strings.HasPrefix(r.URL.Path, path+"/"):
		a.remove(w, strings.TrimPrefix(r.URL.Path, path+"/"))
	case r.Method == http.MethodGet && r.URL.Path == path:
		if page*2 < len(a.entries) {
			w.Header().Set("Link", fmt.Sprintf(`<%s%s?page=%d>; rel="next"`, a.URL, path, page+1))
		}
		shown := a.entries[min(page*2-2, len(a.entries)):min(page*2, len(a.entries))]
		_ = json.NewEncoder(w).Encode(map[string]any{"total_count": len(a.entries), "actions_caches": shown})
	default:
		http.NotFound(w, r)
	}
}

func (a *cachesAPI) remove(w http.ResponseWriter, id string) {
	left := slices.DeleteFunc(slices.Clone(a.entries), func(e map[string]any) bool { return fmt.Sprint(e["id"]) == id })
	if len(left) == len(a.entries) {
		http.Error(w, `{"message": "Not Found"}`, http.StatusNotFound)
		return
	}
	a.entries = left
	w.WriteHeader(http.StatusNoContent)
}

func (a *cachesAPI) open(t *testing.T) *Caches {
	repository, err := Open("acme/box", a.URL+"/api/v3", hubToken)
	if err != nil {
		t.Fatal(err)
	}
	return NewCaches(repository)
}

func TestOnGitHub(t *testing.T) {
	api := newCachesAPI(t)
	first, second := cache.Name{Scope: cachetest.Scope("a"), Serial: 1}, cache.Name{Scope: cachetest.Scope("a"), Serial: 2}
	api.add(first.String(), actions.Version, "refs/heads/main")
	for _, key := range cachetest.LookAlikes() {
		api.add(key, actions.Version, "refs/heads/main")
	}
	api.add(first.String(), "another version", "refs/heads/main")
	api.add(second.String(), actions.Version, "refs/heads/main")
	api.add(first.String(), actions.Version, "refs/pull/7/merge")
	others := len(api.entries) - 3
	inventory := api.open(t)
	all, err := inventory.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id := func(n int) string { return strconv.Itoa(n) }
	want := []cache.Kept{
		{Name: first, Ref: "refs/heads/main", Made: cachetest.Day(1), Used: cachetest.Day(2), Size: 100, ID: "1"},
		{Name: second, Ref: "refs/heads/main", Made: cachetest.Day(1), Used: cachetest.Day(2), Size: 100, ID: id(others + 2)},
		{Name: first, Ref: "refs/pull/7/merge", Made: cachetest.Day(1), Used: cachetest.Day(2), Size: 100, ID: id(others + 3)},
	}
	if diff := cmp.Diff(want, all, cmp.AllowUnexported(cache.Kept{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	const list = "GET /api/v3/repos/acme/box/actions/caches?direction=asc&key=nixery1-"
	if n := (len(api.entries) + 1) / 2; len(api.requests) != n || api.requests[0] != list+"&per_page=100&sort=created_at" || api.requests[1] != list+"&page=2&per_page=100&sort=created_at" {
		t.Errorf("%d requests for %d pages: %q", len(api.requests), n, api.requests)
	}
	api.requests = nil
	for range 2 { // the second time it is gone
		for _, entry := range all {
			if err := inventory.Remove(t.Context(), entry); err != nil {
				t.Error(err)
			}
		}
	}
	if len(api.entries) != others || len(api.requests) != 6 || api.requests[0] != "DELETE /api/v3/repos/acme/box/actions/caches/1" {
		t.Errorf("%d entries are left, want %d; requests %q", len(api.entries), others, api.requests)
	}
}

func TestOnGitHubTrouble(t *testing.T) {
	reset := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	for name, c := range map[string]struct {
		answer           http.HandlerFunc
		kind             cache.Kind
		listing, removal string
	}{
		"403": {cachetest.Status(403, `{"message":"Resource not accessible by integration"}`), cache.Denied,
			"HTTP 403: Resource not accessible by integration: the token may not do that: in a workflow, add `actions: read` to permissions", "add `actions: write` to permissions"},
		"401": {cachetest.Status(401, `{"message":"Bad credentials"}`), cache.Unauthorized, "HTTP 401: Bad credentials: GITHUB_TOKEN is not", "GITHUB_TOKEN is not"},
		"404": {cachetest.Status(404, `{"message":"Not Found"}`), cache.Other, "there is no such repository, or the token may not see it", ""},
		"rate limit": {cachetest.Status(403, `{}`, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", reset), cache.Throttled,
			"requests are used up until ", "run it again then"},
		"secondary limit": {cachetest.Status(403, `{"documentation_url":"https://docs.github.com/x#secondary-rate-limits"}`, "Retry-After", "90"), cache.Throttled,
			"too many requests at once; run it again in 1m30s", "in 1m30s"},
		"429":      {cachetest.Status(429, `{}`, "Retry-After", "7"), cache.Throttled, "HTTP 429: too many requests; run it again in 7s", "in 7s"},
		"500":      {cachetest.Status(500, `<html>`), cache.Unreachable, "HTTP 500", "HTTP 500"},
		"cut":      {cachetest.HangUp, cache.Unreachable, "listing entries: EOF", "removing an entry: EOF"},
		"not JSON": {cachetest.Status(200, `<html>`), cache.Unreachable, "invalid character", ""},
	} {
		t.Run(name, func(t *testing.T) {
			api := newCachesAPI(t)
			api.Config.ErrorLog = log.New(io.Discard, "", 0)
			api.answer = c.answer
			_, err := api.open(t).List(t.Context())
			checkFault(t, err, c.kind, c.listing)
			if err := api.open(t).Remove(t.Context(), cache.Kept{ID: "1"}); c.removal != "" || err != nil {
				checkFault(t, err, c.kind, c.removal)
			}
		})
	}
}

func checkFault(t *testing.T, err error, kind cache.Kind, text string) {
	t.Helper()
	fault, ok := errors.AsType[*cache.StoreError](err)
	if !ok || fault.Kind != kind || !strings.Contains(err.Error(), text) || !strings.HasPrefix(err.Error(), fault.Store+": ") {
		t.Errorf("got %v, want %s: %q", err, kind, text)
	}
	if err != nil && strings.Contains(err.Error(), hubToken) {
		t.Error("the token is in the error")
	}
}

// A list whose pages lead in a circle ends.
func TestOnGitHubCircle(t *testing.T) {
	api := newCachesAPI(t)
	api.answer = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", fmt.Sprintf(`<%s%s?page=2>; rel="next"`, api.URL, r.URL.Path))
		_, _ = io.WriteString(w, `{"actions_caches":[]}`)
	}
	if _, err := api.open(t).List(t.Context()); err != nil || len(api.requests) != 2 {
		t.Errorf("%v after %d requests", err, len(api.requests))
	}
}

func TestListIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newCachesAPI(t).open(t).List(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}
