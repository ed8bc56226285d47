package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/org/nixery-action/internal/hub"
)

const hubToken = "ghp_hunter2"

// lookAlikes are names that others may have given, and that must never be taken for ours.
func lookAlikes() []string {
	ours := Name{scope("a"), 1}.String()
	return []string{
		"", "npm-linux", scopePrefix, string(scope("a")), string(scope("a")) + "-1", ours + "0", "x" + ours, ours + "-x", strings.ToUpper(ours),
		scopePrefix + "go-00000001", scopePrefix + "blob-" + strings.Repeat("a", 63) + "-00000001", ours + "\n", ours + " ",
		"nixery2" + strings.TrimPrefix(ours, "nixery1"), scopePrefix + strings.Repeat("g", 40) + "-00000001",
	}
}

func TestParseName(t *testing.T) {
	for _, want := range []Name{{scope("a"), 1}, {scope("b"), 0xfffffffe}, {blobScope(hashOf("x")), 2}} {
		if got, ok := parseName(want.String()); !ok || got != want {
			t.Errorf("%s is read as %v, %v", want, got, ok)
		}
	}
	for _, text := range lookAlikes() {
		if got, ok := parseName(text); ok {
			t.Errorf("%q passes for %v", text, got)
		}
	}
}

// day is so many days after some day.
func day(n int) time.Time { return time.Unix(1_700_000_000, 0).AddDate(0, 0, n).UTC() }

func TestSurplus(t *testing.T) {
	history := func(scope Scope, serial uint32, ref string) Kept {
		return Kept{Name: Name{scope, serial}, Ref: ref, Used: day(1), Size: 10}
	}
	blob := func(content string, used int, size int64) Kept {
		return Kept{Name: Name{blobScope(hashOf(content)), 1}, Used: day(used), Size: size}
	}
	a1, a2, a10, b1 := history(scope("a"), 1, "main"), history(scope("a"), 2, "main"), history(scope("a"), 10, "main"), history(scope("b"), 1, "main")
	pull := history(scope("a"), 99, "refs/pull/7/merge")
	old, fresh, huge := blob("old", 2, 100), blob("fresh", 9, 100), blob("huge", 9, 1000)
	for name, c := range map[string]struct {
		policy    Policy
		all, want []Kept
	}{
		"nothing":                      {Policy{Keep: 1}, nil, nil},
		"the newest of each scope":     {Policy{Keep: 1}, []Kept{a1, a10, b1, a2}, []Kept{a2, a1}},
		"two of each scope":            {Policy{Keep: 2}, []Kept{a1, a10, b1, a2}, []Kept{a1}},
		"another ref's takes no place": {Policy{Keep: 1}, []Kept{pull, a10}, nil},
		"no budget":                    {Policy{Keep: 1}, []Kept{huge, old}, nil},
		"just within":                  {Policy{Keep: 1, Size: 1210}, []Kept{huge, old, fresh, a1}, nil},
		"the longest unused first":     {Policy{Keep: 1, Size: 1209}, []Kept{huge, old, fresh, a1}, []Kept{old}},
		"then the largest":             {Policy{Keep: 1, Size: 1109}, []Kept{fresh, old, huge, a1}, []Kept{old, huge}},
		"histories stay":               {Policy{Keep: 1, Size: 1}, []Kept{a1, fresh, b1}, []Kept{fresh}},
		"superseded count first":       {Policy{Keep: 1, Size: 110}, []Kept{a1, a2, fresh}, []Kept{a1}},
	} {
		if diff := cmp.Diff(c.want, c.policy.Surplus(c.all), cmp.AllowUnexported(Kept{})); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

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
		"created_at": day(1), "last_accessed_at": day(2),
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

func (a *cachesAPI) open(t *testing.T) *OnGitHub {
	repository, err := hub.Open("acme/box", a.URL+"/api/v3", hubToken)
	if err != nil {
		t.Fatal(err)
	}
	return NewOnGitHub(repository)
}

func names(all []Kept) (names []string) {
	for _, entry := range all {
		names = append(names, entry.Name.String())
	}
	return names
}

func TestOnGitHub(t *testing.T) {
	api := newCachesAPI(t)
	first, second := Name{scope("a"), 1}, Name{scope("a"), 2}
	api.add(first.String(), actionsVersion, "refs/heads/main")
	for _, key := range lookAlikes() {
		api.add(key, actionsVersion, "refs/heads/main")
	}
	api.add(first.String(), "another version", "refs/heads/main")
	api.add(second.String(), actionsVersion, "refs/heads/main")
	api.add(first.String(), actionsVersion, "refs/pull/7/merge")
	others := len(api.entries) - 3
	inventory := api.open(t)
	all, err := inventory.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id := func(n int) string { return strconv.Itoa(n) }
	want := []Kept{
		{Name: first, Ref: "refs/heads/main", Made: day(1), Used: day(2), Size: 100, id: "1"},
		{Name: second, Ref: "refs/heads/main", Made: day(1), Used: day(2), Size: 100, id: id(others + 2)},
		{Name: first, Ref: "refs/pull/7/merge", Made: day(1), Used: day(2), Size: 100, id: id(others + 3)},
	}
	if diff := cmp.Diff(want, all, cmp.AllowUnexported(Kept{})); diff != "" {
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
		kind             Kind
		listing, removal string
	}{
		"403": {status(403, `{"message":"Resource not accessible by integration"}`), Denied,
			"HTTP 403: Resource not accessible by integration: the token may not do that: in a workflow, add `actions: read` to permissions", "add `actions: write` to permissions"},
		"401": {status(401, `{"message":"Bad credentials"}`), Unauthorized, "HTTP 401: Bad credentials: GITHUB_TOKEN is not", "GITHUB_TOKEN is not"},
		"404": {status(404, `{"message":"Not Found"}`), Other, "there is no such repository, or the token may not see it", ""},
		"rate limit": {status(403, `{}`, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", reset), Throttled,
			"requests are used up until ", "run it again then"},
		"secondary limit": {status(403, `{"documentation_url":"https://docs.github.com/x#secondary-rate-limits"}`, "Retry-After", "90"), Throttled,
			"too many requests at once; run it again in 1m30s", "in 1m30s"},
		"429":      {status(429, `{}`, "Retry-After", "7"), Throttled, "HTTP 429: too many requests; run it again in 7s", "in 7s"},
		"500":      {status(500, `<html>`), Unreachable, "HTTP 500", "HTTP 500"},
		"cut":      {hangUp, Unreachable, "listing entries: EOF", "removing an entry: EOF"},
		"not JSON": {status(200, `<html>`), Unreachable, "invalid character", ""},
	} {
		t.Run(name, func(t *testing.T) {
			api := newCachesAPI(t)
			api.Config.ErrorLog = log.New(io.Discard, "", 0)
			api.answer = c.answer
			_, err := api.open(t).List(t.Context())
			checkFault(t, err, c.kind, c.listing)
			if err := api.open(t).Remove(t.Context(), Kept{id: "1"}); c.removal != "" || err != nil {
				checkFault(t, err, c.kind, c.removal)
			}
		})
	}
}

func checkFault(t *testing.T, err error, kind Kind, text string) {
	t.Helper()
	fault, ok := errors.AsType[*StoreError](err)
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

func TestFolderInventory(t *testing.T) {
	dir := t.TempDir()
	directory := NewFolder(dir)
	name := Name{scope("a"), 3}
	save(t, directory, name, "content")
	var others []string
	for _, other := range lookAlikes() {
		if other != "" {
			others = append(others, other)
			if err := os.WriteFile(filepath.Join(dir, other), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	link := Name{scope("b"), 1}.String()
	others = append(others, link)
	if err := os.Symlink("elsewhere", filepath.Join(dir, link)); err != nil {
		t.Fatal(err)
	}
	all, err := directory.List(t.Context())
	if err != nil || !slices.Equal(names(all), []string{name.String()}) || all[0].Size != 7 || time.Since(all[0].Made) > time.Hour {
		t.Fatalf("%+v, %v", all, err)
	}
	for range 2 {
		if err := directory.Remove(t.Context(), all[0]); err != nil {
			t.Error(err)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != len(others) {
		t.Errorf("%v is left, want %q (%v)", left, others, err)
	}
	if err := directory.Remove(t.Context(), Kept{Name: Name{"../x", 1}}); err == nil {
		t.Error("a path passes for a name")
	}
	if all, err := NewFolder(filepath.Join(dir, "none")).List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("without a directory: %v, %v", all, err)
	}
}

// tagImage puts something that is not ours under a tag.
func tagImage(t *testing.T, transport http.RoundTripper, tag string) {
	t.Helper()
	ref, err := name.NewTag("127.0.0.1:5000/acme/box:" + tag)
	if err == nil {
		err = remote.Write(ref, empty.Image, remote.WithTransport(transport))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestRegistryInventory(t *testing.T) {
	front := newRegistryFront()
	transport := network(t, front)
	ours := openRegistry(t, transport)
	if all, err := ours.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("of a repository that is not there: %v, %v", all, err)
	}
	history, blob := Name{scope("a"), 3}, Name{blobScope(hashOf("x")), 1}
	save(t, ours, history, "content")
	save(t, ours, blob, "x")
	save(t, ours, Name{"nixery2-notes", 1}, "of another format")
	tagImage(t, transport, "latest")
	tagImage(t, transport, "cache-"+string(scope("b")))        // a scope's tag, but an image
	tagImage(t, transport, "cache-"+string(scope("a"))+"-old") // of another form
	other, err := NewRegistry("127.0.0.1:5000/acme/box", RegistryOptions{Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	save(t, other, Name{scope("c"), 1}, "another cache in the repository")
	all, err := ours.List(t.Context())
	if err != nil || !slices.Equal(names(NewestFirst(all)), []string{history.String(), blob.String()}) || NewestFirst(all)[0].Size != 7 {
		t.Fatalf("%+v, %v", all, err)
	}
	front.requests = nil
	for range 2 {
		for _, entry := range all {
			if err := ours.Remove(t.Context(), entry); err != nil {
				t.Error(err)
			}
		}
	}
	const manifests = "DELETE /v2/acme/box/manifests/"
	twice := []string{manifests + all[0].id, manifests + all[1].id, manifests + all[0].id, manifests + all[1].id}
	if diff := cmp.Diff(twice, front.matching("DELETE ")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	checkNewest(t, other, Name{scope("c"), 1}, "another cache in the repository")
}

// Two caches in one repository may have saved the same: then both tags are one manifest, and deleting it would take the other's.
func TestRegistrySharedManifest(t *testing.T) {
	transport := network(t, newRegistryFront())
	ours := openRegistry(t, transport)
	other, err := NewRegistry("127.0.0.1:5000/acme/box:other", RegistryOptions{Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	same := Name{blobScope(hashOf("x")), 1}
	save(t, ours, same, "x")
	save(t, other, same, "x")
	if all, err := ours.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestRegistryRefusesToDelete(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		want   string
	}{
		"not supported": {405, "HTTP 405: no: this registry deletes nothing on request"},
		"not allowed":   {403, "HTTP 403: no: these credentials may not delete"},
		"out of order":  {502, "HTTP 502"},
	} {
		t.Run(name, func(t *testing.T) {
			front := newRegistryFront()
			r := openRegistry(t, network(t, front))
			save(t, r, Name{scope("a"), 1}, "content")
			all, err := r.List(t.Context())
			if err != nil || len(all) != 1 {
				t.Fatal(all, err)
			}
			front.add(&fault{part: "DELETE ", nth: 1, onward: true, answer: status(c.status, `{"errors":[{"code":"UNSUPPORTED","message":"no"}]}`)})
			if err := r.Remove(t.Context(), all[0]); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestInventoryIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	api := newCachesAPI(t)
	registry := openRegistry(t, network(t, registry.New(registry.Logger(log.New(io.Discard, "", 0)))))
	for _, inventory := range []Inventory{api.open(t), NewFolder(t.TempDir()), registry} {
		if _, err := inventory.List(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", inventory, err)
		}
	}
}
