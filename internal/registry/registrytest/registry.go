package registrytest

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

// Registry is an in-memory registry that records requests, keeps blobs apart by repository, mounts, and fails on demand.
type Registry struct {
	*httptest.Server
	Inner http.Handler

	Mu       sync.Mutex
	Requests []string // "METHOD path?query"
	blobs    map[string]bool
	Faults   []*Fault
	NoMount  bool
}

// Fault answers the nth matching request, counted from one, and all later ones if forever.
type Fault struct {
	Method, Path string // a prefix-free part of the path
	Nth          int
	Forever      bool
	Answer       func(http.ResponseWriter, *http.Request)
	seen         int
}

func NewRegistry(t *testing.T, faults ...*Fault) *Registry {
	t.Helper()
	f := NewFake(faults...)
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func NewFake(faults ...*Fault) *Registry {
	return &Registry{Inner: ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))), blobs: map[string]bool{}, Faults: faults}
}

func (f *Registry) Host() string {
	return strings.TrimPrefix(strings.TrimPrefix(f.URL, "http://"), "https://")
}

func (f *Registry) Tag(t *testing.T, ref string) name.Tag {
	t.Helper()
	tag, err := name.NewTag(f.Host() + "/" + ref)
	if err != nil {
		t.Fatal(err)
	}
	return tag
}

func (f *Registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if answer := f.note(r); answer != nil {
		answer(w, r)
		return
	}
	repo, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/blobs/")
	query := r.URL.Query()
	switch {
	case r.Method == http.MethodHead && strings.HasPrefix(rest, "sha256:") && !f.has(repo, rest):
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodPost && !f.NoMount && f.has(query.Get("from"), query.Get("mount")):
		f.add(repo, query.Get("mount"))
		w.WriteHeader(http.StatusCreated)
	case r.Method == http.MethodPost:
		r.URL.RawQuery = "" // registry.New would take mount for something else
		f.Inner.ServeHTTP(w, r)
	default:
		recorder := &statusRecorder{ResponseWriter: w}
		f.Inner.ServeHTTP(recorder, r)
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
func (f *Registry) note(r *http.Request) func(http.ResponseWriter, *http.Request) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.Requests = append(f.Requests, r.Method+" "+r.URL.RequestURI())
	for _, fault := range f.Faults {
		if r.Method != fault.Method || !strings.Contains(r.URL.Path, fault.Path) {
			continue
		}
		fault.seen++
		if fault.seen == fault.Nth || fault.Forever && fault.seen >= fault.Nth {
			return fault.Answer
		}
	}
	return nil
}

func (f *Registry) has(repo, digest string) bool {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	return f.blobs[repo+"@"+digest]
}

func (f *Registry) add(repo, digest string) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.blobs[repo+"@"+digest] = true
}

// Matching returns the recorded requests that hold all parts, in order.
func (f *Registry) Matching(parts ...string) []string {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	var found []string
	for _, request := range f.Requests {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(request, part) }) {
			found = append(found, request)
		}
	}
	return found
}

// Status answers with a status, after having read the request's body.
func Status(code int, header ...string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"errors":[{"code":"FAKE","message":"status %d"}]}`, code)
	}
}

// Cut reads a part of the body, and breaks the connection.
func Cut(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.CopyN(io.Discard, r.Body, 1000)
	panic(http.ErrAbortHandler)
}
