package cache

import (
	"bytes"
	"context"
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
	"memory":   memorySite,
	"folder":   folderSite,
	"v2":       func(t *testing.T) site { return actionsSite(t, environmentV2) },
	"v1":       func(t *testing.T) site { return actionsSite(t, environmentV1) },
	"registry": registrySite,
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

// TestContract is what every store must do.
func TestContract(t *testing.T) {
	for store, newSite := range sites {
		for name, test := range contract {
			t.Run(store+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { test(t, newSite(t)) })
			})
		}
	}
}

var contract = map[string]func(*testing.T, site){
	"nothing there":          nothingThere,
	"newest first":           newestFirst,
	"lanes are apart":        lanesApart,
	"never changes":          neverChanges,
	"one name, many jobs":    oneName,
	"one lane, many jobs":    oneLane,
	"taken while saving":     takenWhileSaving,
	"empty content":          emptyContent,
	"content of wrong size":  wrongSize,
	"source breaks":          sourceBreaks,
	"cancelled":              cancelledRun,
	"damage is seen":         damageSeen,
	"cut is seen":            cutSeen,
	"nothing learnt is lost": nothingLost,
	"damaged blob":           damagedBlob,
}

func lane(letter string) Lane { return Lane(lanePrefix + strings.Repeat(letter, 40)) }

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
	e, err := s.Newest(t.Context(), want.Lane)
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

func nothingThere(t *testing.T, s site) {
	if _, err := s.open().Newest(t.Context(), lane("a")); !errors.Is(err, ErrNotFound) {
		t.Errorf("error is %v", err)
	}
}

func newestFirst(t *testing.T, s site) {
	for serial := range uint32(20) {
		name := Name{lane("a"), serial + 1}
		save(t, s.open(), name, name.String())
		checkNewest(t, s.open(), name, name.String())
	}
}

func lanesApart(t *testing.T, s site) {
	short, long := Name{lane("a"), 1}, Name{lane("a") + "b", 1}
	save(t, s.open(), short, "short")
	if _, err := s.open().Newest(t.Context(), long.Lane); !errors.Is(err, ErrNotFound) {
		t.Errorf("a longer lane: %v", err)
	}
	save(t, s.open(), long, "long")
	checkNewest(t, s.open(), short, "short")
	checkNewest(t, s.open(), long, "long")
}

func neverChanges(t *testing.T, s site) {
	name := Name{lane("a"), 7}
	save(t, s.open(), name, "first")
	if err := s.open().Save(t.Context(), name, 6, opener("second")); !errors.Is(err, ErrExists) {
		t.Errorf("error is %v", err)
	}
	checkNewest(t, s.open(), name, "first")
}

// jobs saves under several names at once, and counts.
func jobs(t *testing.T, s site, names ...Name) (saved, taken int) {
	errs := make([]error, len(names))
	var wait sync.WaitGroup
	for i, name := range names {
		store := s.open()
		wait.Go(func() { errs[i] = store.Save(t.Context(), name, 4, opener("same")) })
	}
	wait.Wait()
	for _, err := range errs {
		switch {
		case err == nil:
			saved++
		case errors.Is(err, ErrExists):
			taken++
		default:
			t.Error(err)
		}
	}
	return saved, taken
}

func oneName(t *testing.T, s site) {
	name := Name{lane("a"), 1}
	saved, taken := jobs(t, s, name, name, name, name)
	if saved != 1 && reserves(s.open()) || saved < 1 || saved+taken != 4 {
		t.Errorf("%d saved it, %d found it taken", saved, taken)
	}
	checkNewest(t, s.open(), name, "same")
}

// reserves says whether of several jobs that save one name at once only one can. Registries and act let them all.
func reserves(s Store) bool {
	_, isRegistry := s.(*Registry)
	_, isV1 := s.(*actionsV1)
	return !isRegistry && !isV1
}

func oneLane(t *testing.T, s site) {
	names := []Name{{lane("a"), 1}, {lane("a"), 2}, {lane("b"), 1}, {lane("b"), 2}}
	if saved, _ := jobs(t, s, names...); saved < 2 {
		t.Errorf("%d saved", saved)
	}
	for _, l := range []Lane{lane("a"), lane("b")} {
		e, err := s.open().Newest(t.Context(), l)
		if err != nil || e.Name.Lane != l || read(t, e) != "same" {
			t.Errorf("found %v: %v", e.Name, err)
		}
	}
}

// takenWhileSaving lets another job save the name first, when this one has begun.
func takenWhileSaving(t *testing.T, s site) {
	name := Name{lane("a"), 1}
	var inner error
	first := true
	outer := s.open().Save(t.Context(), name, 4, func() (io.ReadCloser, error) {
		if first {
			first = false
			inner = s.open().Save(t.Context(), name, 4, opener("same"))
		}
		return opener("same")()
	})
	if wins := []bool{inner == nil, outer == nil}; reserves(s.open()) && wins[0] == wins[1] {
		t.Errorf("errors are %v, %v", inner, outer)
	}
	for _, err := range []error{inner, outer} {
		if err != nil && !errors.Is(err, ErrExists) {
			t.Error(err)
		}
	}
	checkNewest(t, s.open(), name, "same")
}

func emptyContent(t *testing.T, s site) {
	name := Name{lane("a"), 1}
	save(t, s.open(), name, "")
	checkNewest(t, s.open(), name, "")
}

func wrongSize(t *testing.T, s site) {
	for _, size := range []int64{3, 5, blockSize + 4} {
		name := Name{lane("a"), uint32(size)}
		err := s.open().Save(t.Context(), name, size, opener("four"))
		var fault *StoreError
		if !errors.As(err, &fault) || fault.Kind != Other {
			t.Errorf("size %d: error is %v", size, err)
		}
	}
	nothingThere(t, s)
}

func sourceBreaks(t *testing.T, s site) {
	broken := errors.New("disk on fire")
	err := s.open().Save(t.Context(), Name{lane("a"), 1}, 10, func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("1234"), errReader{broken})), nil
	})
	if !errors.Is(err, broken) {
		t.Errorf("error is %v", err)
	}
	nothingThere(t, s)
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func cancelledRun(t *testing.T, s site) {
	ctx, cancel := context.WithCancel(t.Context())
	err := s.open().Save(ctx, Name{lane("a"), 1}, 10, func() (io.ReadCloser, error) {
		cancel()
		return io.NopCloser(strings.NewReader("0123456789")), nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("saving: error is %v", err)
	}
	if _, err := s.open().Newest(ctx, lane("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("looking: error is %v", err)
	}
	nothingThere(t, s)
}

func damageSeen(t *testing.T, s site) {
	damaged(t, s, func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
}

func cutSeen(t *testing.T, s site) {
	damaged(t, s, func(b []byte) []byte { return b[:len(b)-1] })
}

// damaged wants a ledger that was changed to count for nothing, with one warning, and to be replaced by the next.
func damaged(t *testing.T, s site, change func([]byte) []byte) {
	id := Identity{Spec: "nixery.yaml", Image: "box"}
	first := newTestCache(s.open())
	first.Save(t.Context(), id, page("a"))
	first.checkLog(t)
	s.tamper(Name{id.Lane(""), 1}.String(), change)
	second := newTestCache(s.open())
	if !second.Open(t.Context(), id).Empty() {
		t.Error("a damaged ledger was believed")
	}
	second.checkLog(t, "damaged")
	second.Save(t.Context(), id, page("b"))
	s.tamper(Name{id.Lane(""), 2}.String(), func(b []byte) []byte { return b })
	checkKnows(t, newTestCache(s.open()).Open(t.Context(), id), "b")
}

// nothingLost lets two runs begin from one ledger, and end one after the other.
func nothingLost(t *testing.T, s site) {
	id := Identity{Spec: "nixery.yaml", Image: "box"}
	newTestCache(s.open()).Save(t.Context(), id, page("a"))
	one, two := newTestCache(s.open()), newTestCache(s.open())
	one.Open(t.Context(), id)
	two.Open(t.Context(), id)
	one.Save(t.Context(), id, page("b"))
	two.Save(t.Context(), id, page("c"))
	checkKnows(t, newTestCache(s.open()).Open(t.Context(), id), "a", "b", "c")
}

func damagedBlob(t *testing.T, s site) {
	content := strings.Repeat("layer", 1000)
	digest, size := digestOf([]byte(content)), int64(len(content))
	newTestCache(s.open()).SaveBlob(t.Context(), digest, size, opener(content))
	s.tamper(Name{blobLane(digest), 1}.String(), func(b []byte) []byte { b[0] ^= 1; return b })
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
	s.tamper(Name{blobLane(digest), 1}.String(), func(b []byte) []byte { return b })
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
	for _, store := range []string{"folder", "v2", "v1"} {
		t.Run(store, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, name := sites[store](t), Name{lane("a"), 1}
				before := allocated()
				err := s.open().Save(t.Context(), name, size, func() (io.ReadCloser, error) { return io.NopCloser(io.LimitReader(&pattern{}, size)), nil })
				if err != nil {
					t.Fatal(err)
				}
				e, err := s.open().Newest(t.Context(), name.Lane)
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
