package publish

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
)

// fakeRegistry is an in-memory registry that records requests, keeps blobs apart by repository, mounts, and fails on demand.
type fakeRegistry struct {
	*httptest.Server
	inner http.Handler

	mu       sync.Mutex
	requests []string // "METHOD path?query"
	blobs    map[string]bool
	faults   []*fault
	noMount  bool
}

// fault answers the nth matching request, counted from one, and all later ones if forever.
type fault struct {
	method, path string // a prefix-free part of the path
	nth          int
	forever      bool
	answer       func(http.ResponseWriter, *http.Request)
	seen         int
}

func newRegistry(t *testing.T, faults ...*fault) *fakeRegistry {
	t.Helper()
	f := newFake(faults...)
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func newFake(faults ...*fault) *fakeRegistry {
	return &fakeRegistry{inner: ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))), blobs: map[string]bool{}, faults: faults}
}

func (f *fakeRegistry) host() string {
	return strings.TrimPrefix(strings.TrimPrefix(f.URL, "http://"), "https://")
}

func (f *fakeRegistry) tag(t *testing.T, ref string) name.Tag {
	t.Helper()
	tag, err := name.NewTag(f.host() + "/" + ref)
	if err != nil {
		t.Fatal(err)
	}
	return tag
}

func (f *fakeRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if answer := f.note(r); answer != nil {
		answer(w, r)
		return
	}
	repo, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/blobs/")
	query := r.URL.Query()
	switch {
	case r.Method == http.MethodHead && strings.HasPrefix(rest, "sha256:") && !f.has(repo, rest):
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodPost && !f.noMount && f.has(query.Get("from"), query.Get("mount")):
		f.add(repo, query.Get("mount"))
		w.WriteHeader(http.StatusCreated)
	case r.Method == http.MethodPost:
		r.URL.RawQuery = "" // registry.New would take mount for something else
		f.inner.ServeHTTP(w, r)
	default:
		recorder := &statusRecorder{ResponseWriter: w}
		f.inner.ServeHTTP(recorder, r)
		if r.Method == http.MethodPut && recorder.status == http.StatusCreated && query.Get("digest") != "" {
			f.add(repo, query.Get("digest"))
		}
	}
}

type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (s *statusRecorder) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// note records the request, and returns the fault that answers it.
func (f *fakeRegistry) note(r *http.Request) func(http.ResponseWriter, *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, r.Method+" "+r.URL.RequestURI())
	for _, fault := range f.faults {
		if r.Method != fault.method || !strings.Contains(r.URL.Path, fault.path) {
			continue
		}
		fault.seen++
		if fault.seen == fault.nth || fault.forever && fault.seen >= fault.nth {
			return fault.answer
		}
	}
	return nil
}

func (f *fakeRegistry) has(repo, digest string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.blobs[repo+"@"+digest]
}

func (f *fakeRegistry) add(repo, digest string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blobs[repo+"@"+digest] = true
}

// matching returns the recorded requests that hold all parts, in order.
func (f *fakeRegistry) matching(parts ...string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []string
	for _, request := range f.requests {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(request, part) }) {
			found = append(found, request)
		}
	}
	return found
}

// status answers with a status, after having read the request's body.
func status(code int, header ...string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"errors":[{"code":"FAKE","message":"status %d"}]}`, code)
	}
}

// cut reads a part of the body, and breaks the connection.
func cut(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.CopyN(io.Discard, r.Body, 1000)
	panic(http.ErrAbortHandler)
}
