package serve

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"

	"github.com/org/nixery-action/internal/blobstore"
	"github.com/org/nixery-action/internal/spec"
)

// Media types by short names, as in Accept.
const (
	dockerTypes = string(types.DockerManifestSchema2) + "," + string(types.DockerManifestList)
	ociTypes    = string(types.OCIManifestSchema1) + "," + string(types.OCIImageIndex)
	allTypes    = dockerTypes + "," + ociTypes
)

var quiet = slog.New(slog.DiscardHandler)

// registry is a server on loopback, over a package set that is not there and a bucket in memory.
type registry struct {
	*Server
	t      testing.TB
	nix    *fakeNix
	bucket *blob.Bucket
	url    string
	change func(*Options)

	open, opened atomic.Int64 // connections now, and ever
}

func newRegistry(t testing.TB, change func(*Options)) *registry {
	t.Helper()
	r := &registry{t: t, nix: &fakeNix{}, bucket: memblob.OpenBucket(nil), change: change}
	r.start()
	return r
}

// start starts a new server on the same bucket.
func (r *registry) start() {
	r.t.Helper()
	o := Options{
		Blobs: blobstore.New(r.bucket, blobstore.Options{TempDir: r.t.TempDir()}), Runner: r.nix.with, Store: r.nix.store(),
		Source: spec.Nixpkgs{Channel: someCommit}, TempDir: r.t.TempDir(), Log: quiet,
	}
	if r.change != nil {
		r.change(&o)
	}
	var err error
	if r.Server, err = New(o); err != nil {
		r.t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(r.Handler())
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			r.open.Add(1)
			r.opened.Add(1)
		case http.StateClosed:
			r.open.Add(-1)
		}
	}
	server.Start()
	r.t.Cleanup(server.Close)
	r.t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			r.t.Error(err)
		}
	})
	r.url = server.URL
}

// dial opens a connection, and waits until the server has it.
func (r *registry) dial(t testing.TB) net.Conn {
	t.Helper()
	before := r.opened.Load()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	eventually(t, "the server has the connection", func() bool { return r.opened.Load() > before })
	return conn
}

// reply is an answer, read to its end.
type reply struct {
	*http.Response
	content []byte
}

// do sends a request; fields are pairs of header names and values.
func (r *registry) do(method, path string, fields ...string) reply {
	r.t.Helper()
	answer, err := r.try(context.Background(), method, path, fields...)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer
}

func (r *registry) try(ctx context.Context, method, path string, fields ...string) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, method, r.url+path, http.NoBody)
	if err != nil {
		return reply{}, err
	}
	for i := 0; i < len(fields); i += 2 {
		request.Header.Add(fields[i], fields[i+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	return reply{answer, content}, err
}

// get wants 200, and content that is what its digest says.
func (r *registry) get(path string, fields ...string) reply {
	r.t.Helper()
	answer := r.do(http.MethodGet, path, fields...)
	if answer.StatusCode != http.StatusOK {
		r.t.Fatalf("GET %s: %s: %s", path, answer.Status, answer.content)
	}
	if got, want := answer.digest(), fmt.Sprintf("sha256:%x", sha256.Sum256(answer.content)); got != want {
		r.t.Errorf("GET %s: the digest is %s, and the content's is %s", path, got, want)
	}
	return answer
}

func (a reply) digest() string { return a.Header.Get("Docker-Content-Digest") }

// manifest reads the content as an image's manifest.
func (a reply) manifest(t testing.TB) *v1.Manifest {
	t.Helper()
	m, err := v1.ParseManifest(bytes.NewReader(a.content))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (a reply) index(t testing.TB) *v1.IndexManifest {
	t.Helper()
	m, err := v1.ParseIndexManifest(bytes.NewReader(a.content))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// fault wants an error as the distribution specification has it, and returns its first entry.
func (a reply) fault(t testing.TB) (code, message string, detail json.RawMessage) {
	t.Helper()
	var errs struct {
		Errors []struct {
			Code, Message string
			Detail        json.RawMessage
		}
	}
	if err := json.Unmarshal(a.content, &errs); err != nil || len(errs.Errors) != 1 || a.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s is no error of a registry (%v): %s: %s", a.Status, err, a.Header.Get("Content-Type"), a.content)
	}
	return errs.Errors[0].Code, errs.Errors[0].Message, errs.Errors[0].Detail
}

// refuse wants an error with this status and code, and returns its message.
func (r *registry) refuse(status int, code, method, path string, fields ...string) string {
	r.t.Helper()
	answer := r.do(method, path, fields...)
	if answer.StatusCode != status {
		r.t.Errorf("%s %s: %s, want %d: %s", method, path, answer.Status, status, answer.content)
		return ""
	}
	if method == http.MethodHead {
		return ""
	}
	got, message, _ := answer.fault(r.t)
	if got != code {
		r.t.Errorf("%s %s: code %s, want %s (%s)", method, path, got, code, message)
	}
	return message
}

func loadSpec(t *testing.T, file, text string) *spec.Spec {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := spec.Load(file, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return s
}
