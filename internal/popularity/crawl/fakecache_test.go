package crawl

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nix-community/go-nix/pkg/narinfo"
	"github.com/nix-community/go-nix/pkg/narinfo/signature"

	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/retry"
)

// fakeCache is a binary cache in memory. A fault replaces the answer to a path's
// n-th request, counted from 1, and reports whether it did.
type fakeCache struct {
	*httptest.Server
	narinfos map[string]string // request path ▶ text
	faults   map[nix.StorePath]func(w http.ResponseWriter, r *http.Request, n int) bool

	mu       sync.Mutex
	requests map[string]int
}

func newFakeCache(t *testing.T) *fakeCache {
	f := &fakeCache{
		narinfos: map[string]string{"/nix-cache-info": "StoreDir: /nix/store\nPriority: 30\n"},
		faults:   map[nix.StorePath]func(http.ResponseWriter, *http.Request, int) bool{},
		requests: map[string]int{},
	}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeCache) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests[r.URL.Path]++
	n := f.requests[r.URL.Path]
	f.mu.Unlock()
	for path, fault := range f.faults {
		if r.URL.Path == address(path) && fault(w, r, n) {
			return
		}
	}
	text, ok := f.narinfos[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	fmt.Fprint(w, text)
}

func (f *fakeCache) asked(path nix.StorePath) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests[address(path)]
}

func address(path nix.StorePath) string { return "/" + path.Hash() + ".narinfo" }

const narHash = "sha256:0n7szwh0h9d6g3zxafzp88xxz2214ka0cmsw8w6m8whvb1v4xb2l"

// add puts a path into the cache and returns it.
func (f *fakeCache) add(name string, references ...string) nix.StorePath {
	p := path(name)
	f.narinfos[address(p)] = narinfoOf(p, references)
	return p
}

func narinfoOf(p nix.StorePath, references []string) string {
	var names []string
	for _, ref := range paths(references...) {
		names = append(names, strings.TrimPrefix(string(ref), "/nix/store/"))
	}
	slices.Sort(names) // as Nix does
	return fmt.Sprintf("StorePath: %s\nURL: nar/x.nar\nNarHash: %s\nNarSize: 7\nFutureKey: a: b\nReferences: %s\n", p, narHash, strings.Join(names, " "))
}

// sign adds a signature over what the narinfo of a path says now.
func (f *fakeCache) sign(t *testing.T, p nix.StorePath, key signature.SecretKey) {
	t.Helper()
	text := f.narinfos[address(p)]
	parsed, err := narinfo.Parse(strings.NewReader(needed([]byte(text))))
	if err != nil {
		t.Fatal(err)
	}
	sig, err := key.Sign(nil, parsed.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	f.narinfos[address(p)] = text + "Sig: " + sig.String() + "\n"
}

// cache is a client with short waits.
func (f *fakeCache) cache() *Cache {
	return &Cache{URL: f.URL, Jobs: 4, Log: slog.New(slog.DiscardHandler), retry: retry.Policy{First: time.Microsecond}}
}

func ignore(int) {}
