package oci

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/cache/cachetest"
)

func registrySite(t *testing.T) cachetest.Site {
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
	transport := cachetest.Network(t, handler)
	return cachetest.Site{Open: func() cache.Store { return openRegistry(t, transport) }, Tamper: func(_ string, c func([]byte) []byte) {
		mu.Lock()
		defer mu.Unlock()
		change = c
	}}
}

func openRegistry(t *testing.T, transport *http.Transport) *Store {
	r, err := New("127.0.0.1:5000/acme/box:cache", Options{Transport: transport})
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

// TestContract is what every store must do. Registries let several jobs save one name at once.
func TestContract(t *testing.T) {
	for name, test := range cachetest.Contract(cachetest.Can{Tamper: true, List: true}) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, registrySite(t)) })
		})
	}
}
