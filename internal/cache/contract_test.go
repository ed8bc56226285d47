package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-containerregistry/pkg/registry"
)

// site is a place where a store keeps its entries; each call of open is another process that uses it.
type site struct {
	open   func() Store
	tamper func(name string, change func([]byte) []byte)
}

var sites = map[string]func(*testing.T) site{
	"memory":    memorySite,
	"directory": folderSite,
	"v2":        func(t *testing.T) site { return actionsSite(t, environmentV2) },
	"v1":        func(t *testing.T) site { return actionsSite(t, environmentV1) },
	"registry":  registrySite,
}

func memorySite(*testing.T) site {
	m := NewMemory()
	tamper := func(name string, change func([]byte) []byte) {
		for key, content := range m.entries {
			if key.String() == name {
				m.entries[key] = change(bytes.Clone(content))
			}
		}
	}
	return site{func() Store { return m }, tamper}
}

func folderSite(t *testing.T) site {
	dir := filepath.Join(t.TempDir(), "cache")
	return site{func() Store { return NewFolder(dir) }, func(name string, change func([]byte) []byte) {
		path := filepath.Join(dir, name)
		content, err := os.ReadFile(path)
		if err := errors.Join(err, os.WriteFile(path, change(content), 0o644)); err != nil {
			t.Error(err)
		}
	}}
}

var (
	environmentV2 = map[string]string{"ACTIONS_CACHE_SERVICE_V2": "True", "ACTIONS_RESULTS_URL": "https://results.example/",
		"ACTIONS_RUNTIME_TOKEN": testToken, "ACTIONS_CACHE_URL": "http://unused.example/"}
	environmentV1 = map[string]string{"ACTIONS_CACHE_URL": "http://cache.example/x/", "ACTIONS_RUNTIME_TOKEN": testToken}
)

func getenv(environment map[string]string) func(string) string {
	return func(name string) string { return environment[name] }
}

func actionsSite(t *testing.T, environment map[string]string) site {
	fake, front := newFake(t)
	return site{openActions(t, front, environment), fake.tamper}
}

// openActions reaches a fake by HTTPS, too: without TLS, as the network is a pipe.
func openActions(t *testing.T, handler http.Handler, environment map[string]string) func() Store {
	transport := untls{network(t, handler)}
	return func() Store { return FromEnvironment(getenv(environment), ActionsOptions{transport, "test"}) }
}

type untls struct{ *http.Transport }

func (u untls) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.URL.Scheme = "http"
	return u.Transport.RoundTrip(req)
}

func registrySite(t *testing.T) site {
	blobs := registry.NewInMemoryBlobHandler()
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithBlobHandler(blobs))
	var mu sync.Mutex
	var change func([]byte) []byte
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		change := change
		mu.Unlock()
		if change == nil || r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
			inner.ServeHTTP(w, r)
			return
		}
		body := &bytes.Buffer{}
		inner.ServeHTTP(&bodyWriter{w, body}, r)
		changed := change(body.Bytes())
		w.Header().Set("Content-Length", fmt.Sprint(len(changed)))
		_, _ = w.Write(changed)
	})
	transport := network(t, handler)
	return site{func() Store { return openRegistry(t, transport) }, func(_ string, c func([]byte) []byte) {
		mu.Lock()
		defer mu.Unlock()
		change = c
	}}
}

func openRegistry(t *testing.T, transport *http.Transport) *Registry {
	r, err := NewRegistry("127.0.0.1:5000/acme/box:cache", RegistryOptions{Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

type bodyWriter struct {
	http.ResponseWriter
	body *bytes.Buffer
}

func (b *bodyWriter) WriteHeader(int)             {}
func (b *bodyWriter) Write(p []byte) (int, error) { return b.body.Write(p) }

// TestDamage is what a cache makes of every store; what stores must do themselves is in cachetest.
func TestDamage(t *testing.T) {
	for store, newSite := range sites {
		for name, test := range damages {
			t.Run(store+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { test(t, newSite(t)) })
			})
		}
	}
}

var damages = map[string]func(*testing.T, site){
	"damage is seen":         damageSeen,
	"cut is seen":            cutSeen,
	"nothing learnt is lost": nothingLost,
	"damaged blob":           damagedBlob,
}

func scope(letter string) Scope { return Scope(scopePrefix + strings.Repeat(letter, 40)) }

func opener(content string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }
}

func save(t *testing.T, s Store, name Name, content string) {
	t.Helper()
	if err := s.Save(t.Context(), name, int64(len(content)), opener(content)); err != nil {
		t.Fatalf("saving %s: %v", name, err)
	}
}

func checkNewest(t *testing.T, s Store, want Name, content string) {
	t.Helper()
	e, err := s.Newest(t.Context(), want.Scope)
	if err != nil || e.Name != want {
		t.Fatalf("found %v, %v; want %v", e.Name, err, want)
	}
	if e.Size >= 0 && e.Size != int64(len(content)) {
		t.Errorf("%s is said to be of %d bytes, want %d", want, e.Size, len(content))
	}
	if got := read(t, e); got != content {
		t.Errorf("%s holds %.50q, want %.50q", want, got, content)
	}
}

func read(t *testing.T, e Entry) string {
	t.Helper()
	r, err := e.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func damageSeen(t *testing.T, s site) {
	damaged(t, s, func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
}

func cutSeen(t *testing.T, s site) {
	damaged(t, s, func(b []byte) []byte { return b[:len(b)-1] })
}

// damaged wants a history that was changed to count for nothing, with one warning, and to be replaced by the next.
func damaged(t *testing.T, s site, change func([]byte) []byte) {
	id := Identity{Spec: "nixery.yaml", Image: "box"}
	first := newTestCache(s.open())
	first.Save(t.Context(), id, snapshot("a"))
	first.checkLog(t)
	s.tamper(Name{id.Scope(""), 1}.String(), change)
	second := newTestCache(s.open())
	if !second.Open(t.Context(), id).Empty() {
		t.Error("a damaged history was trusted")
	}
	second.checkLog(t, "damaged")
	second.Save(t.Context(), id, snapshot("b"))
	s.tamper(Name{id.Scope(""), 2}.String(), func(b []byte) []byte { return b })
	checkKnows(t, newTestCache(s.open()).Open(t.Context(), id), "b")
}

// nothingLost lets two runs begin from one history, and end one after the other.
func nothingLost(t *testing.T, s site) {
	id := Identity{Spec: "nixery.yaml", Image: "box"}
	newTestCache(s.open()).Save(t.Context(), id, snapshot("a"))
	one, two := newTestCache(s.open()), newTestCache(s.open())
	one.Open(t.Context(), id)
	two.Open(t.Context(), id)
	one.Save(t.Context(), id, snapshot("b"))
	two.Save(t.Context(), id, snapshot("c"))
	checkKnows(t, newTestCache(s.open()).Open(t.Context(), id), "a", "b", "c")
}

func damagedBlob(t *testing.T, s site) {
	content := strings.Repeat("layer", 1000)
	digest, size := digestOf([]byte(content)), int64(len(content))
	newTestCache(s.open()).SaveBlob(t.Context(), digest, size, opener(content))
	s.tamper(Name{blobScope(digest), 1}.String(), func(b []byte) []byte { b[0] ^= 1; return b })
	c := newTestCache(s.open())
	for range 2 { // a blob that is damaged is opened once, and not again
		blob, err := c.Blob(t.Context(), digest, size)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, blob)
		var fault *StoreError
		if err := errors.Join(err, blob.Close()); !errors.As(err, &fault) || fault.Kind != Damaged {
			t.Errorf("error is %v", err)
		}
	}
	if _, err := c.Blob(t.Context(), digest, size); !errors.Is(err, ErrNotFound) {
		t.Errorf("after damage: %v", err)
	}
	c.checkLog(t, "damaged")
	s.tamper(Name{blobScope(digest), 1}.String(), func(b []byte) []byte { return b })
	c.SaveBlob(t.Context(), digest, size, opener(content))
	checkBlob(t, newTestCache(s.open()), content)
}

func checkBlob(t *testing.T, c *testCache, content string) {
	t.Helper()
	blob, err := c.Blob(t.Context(), digestOf([]byte(content)), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(blob)
	if err := errors.Join(err, blob.Close()); err != nil || string(got) != content {
		t.Errorf("got %d bytes: %v", len(got), err)
	}
}

// TestLargeEntries saves and reads more than a store may hold in memory.
func TestLargeEntries(t *testing.T) {
	const size = 3*blockSize + 12345
	for _, store := range []string{"directory", "v2", "v1"} {
		t.Run(store, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, name := sites[store](t), Name{scope("a"), 1}
				before := allocated()
				err := s.open().Save(t.Context(), name, size, func() (io.ReadCloser, error) { return io.NopCloser(io.LimitReader(&pattern{}, size)), nil })
				if err != nil {
					t.Fatal(err)
				}
				e, err := s.open().Newest(t.Context(), name.Scope)
				if err != nil {
					t.Fatal(err)
				}
				r, err := e.Open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				got, want := sha256.New(), sha256.New()
				n, err := io.Copy(got, r)
				_, _ = io.Copy(want, io.LimitReader(&pattern{}, size))
				if err != nil || n != size || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
					t.Errorf("%d bytes came back: %v", n, err)
				}
				if used := allocated() - before; used > size/2 {
					t.Errorf("%d bytes were allocated for %d", used, size)
				}
			})
		})
	}
}

// pattern is an endless stream of bytes, in which no two blocks are equal.
type pattern struct {
	at   uint64
	line [1024]byte
}

func (p *pattern) Read(b []byte) (int, error) {
	binary.BigEndian.PutUint64(p.line[:], p.at/1024)
	n := copy(b, p.line[p.at%1024:])
	p.at += uint64(n)
	return n, nil
}

func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}
