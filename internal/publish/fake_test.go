package publish

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/stream"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// lazyLayer is a layer whose digest is known only after one stream of it was drained and closed, unless it was made known.
type lazyLayer struct {
	open  func() io.Reader // a fresh stream of the same bytes
	opens atomic.Int64
	live  atomic.Int64 // streams that are open
	read  atomic.Int64

	mu     sync.Mutex
	digest *v1.Hash
	diffID v1.Hash
	size   int64
}

// newLayer makes an unread layer: a gzipped tar with one file, whose contents follow from seed and do not compress.
func newLayer(t *testing.T, seed uint64, size int) *lazyLayer {
	t.Helper()
	content := make([]byte, size)
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = source.Read(content)
	var plain bytes.Buffer
	tw := tar.NewWriter(&plain)
	err := errors.Join(
		tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "file", Mode: 0o444, Size: int64(size)}),
		second(tw.Write(content)), tw.Close())
	if err != nil {
		t.Fatal(err)
	}
	var blob bytes.Buffer
	zw, _ := gzip.NewWriterLevel(&blob, gzip.NoCompression)
	if err := errors.Join(second(zw.Write(plain.Bytes())), zw.Close()); err != nil {
		t.Fatal(err)
	}
	return &lazyLayer{diffID: hashOf(plain.Bytes()), open: func() io.Reader { return bytes.NewReader(blob.Bytes()) }}
}

func second(_ int, err error) error { return err }

func hashOf(b []byte) v1.Hash {
	sum := sha256.Sum256(b)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

// known makes the layer know its digest without having been read.
func (l *lazyLayer) known(t *testing.T) *lazyLayer {
	t.Helper()
	blob, err := io.ReadAll(l.open())
	if err != nil {
		t.Fatal(err)
	}
	digest := hashOf(blob)
	l.digest, l.size = &digest, int64(len(blob))
	return l
}

func (l *lazyLayer) Digest() (v1.Hash, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.digest == nil {
		return v1.Hash{}, stream.ErrNotComputed
	}
	return *l.digest, nil
}

func (l *lazyLayer) DiffID() (v1.Hash, error) {
	if _, err := l.Digest(); err != nil {
		return v1.Hash{}, err
	}
	return l.diffID, nil
}

func (l *lazyLayer) Size() (int64, error) {
	if _, err := l.Digest(); err != nil {
		return 0, err
	}
	return l.size, nil
}

func (l *lazyLayer) MediaType() (types.MediaType, error) { return types.DockerLayer, nil }

func (l *lazyLayer) Uncompressed() (io.ReadCloser, error) {
	zr, err := gzip.NewReader(l.open())
	return zr, err
}

func (l *lazyLayer) Compressed() (io.ReadCloser, error) {
	l.opens.Add(1)
	l.live.Add(1)
	return &lazyStream{layer: l, r: l.open()}, nil
}

type lazyStream struct {
	layer  *lazyLayer
	r      io.Reader
	sum    []byte
	n      int64
	hash   bytesHash
	ended  bool
	closed bool
}

// bytesHash is a SHA-256 that is made when it is first written to.
type bytesHash struct {
	inner interface {
		io.Writer
		Sum([]byte) []byte
	}
}

func (s *lazyStream) Read(p []byte) (int, error) {
	if s.closed {
		panic("read after close")
	}
	if s.hash.inner == nil {
		s.hash.inner = sha256.New()
	}
	n, err := s.r.Read(p)
	_, _ = s.hash.inner.Write(p[:n])
	s.n += int64(n)
	s.layer.read.Add(int64(n))
	s.ended = s.ended || errors.Is(err, io.EOF)
	return n, err
}

func (s *lazyStream) Close() error {
	if s.closed {
		panic("closed twice")
	}
	s.closed = true
	s.layer.live.Add(-1)
	if !s.ended {
		return nil
	}
	digest := v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(s.hash.inner.Sum(nil))}
	s.layer.mu.Lock()
	defer s.layer.mu.Unlock()
	s.layer.digest, s.layer.size = &digest, s.n
	return nil
}

// imageOf is a docker image over the layers.
func imageOf(t *testing.T, arch string, layers ...v1.Layer) v1.Image {
	t.Helper()
	base, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: arch, RootFS: v1.RootFS{Type: "layers"}})
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(base, layers...)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func indexOf(images ...v1.Image) v1.ImageIndex {
	index := mutate.IndexMediaType(empty.Index, types.DockerManifestList)
	for i, image := range images {
		platform := &v1.Platform{OS: "linux", Architecture: []string{"amd64", "arm64"}[i%2]}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform}})
	}
	return index
}

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
	return &fakeRegistry{inner: registry.New(registry.Logger(log.New(io.Discard, "", 0))), blobs: map[string]bool{}, faults: faults}
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

// hasty returns a Registry that waits as told but does not spend the time, and the waits.
func hasty(o RegistryOptions) (*Registry, func() []time.Duration) {
	r := NewRegistry(o)
	var mu sync.Mutex
	var waits []time.Duration
	r.sleep = func(ctx context.Context, d time.Duration) error {
		mu.Lock()
		defer mu.Unlock()
		waits = append(waits, d)
		return ctx.Err()
	}
	return r, func() []time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(waits)
	}
}
