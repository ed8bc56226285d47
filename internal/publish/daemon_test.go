package publish

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/org/nixery-action/internal/registry/registrytest"
)

// fakeDaemon answers on a socket as docker's daemon does, unless it is told to misbehave.
type fakeDaemon struct {
	ping, load http.HandlerFunc

	mu       sync.Mutex
	requests []string
	archive  []byte // that was loaded
}

func (f *fakeDaemon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests = append(f.requests, r.Method+" "+r.URL.String())
	f.mu.Unlock()
	if r.URL.Path == "/_ping" {
		f.ping(w, r)
		return
	}
	f.load(w, r)
}

func pong(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Api-Version", "1.41")
	_, _ = io.WriteString(w, "OK")
}

func (f *fakeDaemon) keep(w http.ResponseWriter, r *http.Request) {
	archive, err := io.ReadAll(r.Body)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	f.archive = archive
	_, _ = io.WriteString(w, `{"stream":"Loaded image: box\n"}`+"\n"+`{"stream":"Loaded image: other\n"}`)
}

// startDaemon serves on a socket, and returns a Daemon that speaks to it.
func startDaemon(t *testing.T) (*fakeDaemon, *Daemon) {
	t.Helper()
	fake := &fakeDaemon{ping: pong}
	fake.load = fake.keep
	socket := filepath.Join(t.TempDir(), "s") // a socket's name is short
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(fake)
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return fake, newDaemon(t, "unix://"+socket)
}

func newDaemon(t *testing.T, host string) *Daemon {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	d, err := NewDaemon(DaemonOptions{Host: host})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDaemon(t *testing.T) {
	fake, d := startDaemon(t)
	var sent int64
	d.sent = func(n int64) { sent += n }
	unread, known := registrytest.NewLayer(t, 1, 300_000), registrytest.NewLayer(t, 2, 100_000).Known(t)
	artifacts := []Artifact{
		{Name: "a", Image: registrytest.ImageOf(t, "amd64", unread, known), Tags: []name.Tag{tagOf(t, "r.example/a:2"), tagOf(t, "a:1")}},
		{Name: "b", Index: registrytest.IndexOf(registrytest.ImageOf(t, "amd64", known)), Tags: []name.Tag{tagOf(t, "r.example/b:x")}},
		{Name: "c", Image: registrytest.ImageOf(t, "amd64", known, unread)},
	}
	if err := d.Check(t.Context(), artifacts); err != nil {
		t.Fatal(err)
	}
	digests, err := d.Publish(t.Context(), artifacts)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range artifacts {
		m, _ := a.manifest()
		if want, err := m.Digest(); err != nil || digests[i] != want {
			t.Errorf("image %s: %s, want %s (%v)", a.Name, digests[i], want, err)
		}
	}
	if want := []string{"GET /_ping", "GET /_ping", "POST /v1.41/images/load?quiet=1"}; !slices.Equal(fake.requests, want) {
		t.Errorf("requests are %q", fake.requests)
	}
	if unread.Opens.Load() != 1 || known.Opens.Load() != 1 {
		t.Errorf("layers were opened %d and %d times", unread.Opens.Load(), known.Opens.Load())
	}
	if size, _ := unread.Size(); sent != size+known.Bytes {
		t.Errorf("%d bytes were told, want %d", sent, size+known.Bytes)
	}
	checkLoaded(t, fake.archive)
	nothingLeft(t)
}

// checkLoaded reads the archive by the tags, as a daemon does.
func checkLoaded(t *testing.T, archive []byte) {
	t.Helper()
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil }
	manifest, err := tarball.LoadManifest(open)
	if err != nil || len(manifest) != 3 || !slices.Equal(manifest[0].RepoTags, []string{"docker.io/library/a:1", "r.example/a:2"}) {
		t.Errorf("manifest.json is %+v, %v", manifest, err)
	}
	for _, ref := range []string{"r.example/a:2", "r.example/b:x"} {
		tag := tagOf(t, ref)
		image, err := tarball.Image(open, &tag)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(image); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

// nothingLeft tests that the temporary directory is empty.
func nothingLeft(t *testing.T) {
	t.Helper()
	if files, err := os.ReadDir(os.TempDir()); err != nil || len(files) > 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}

func TestDaemonRefusesSeveralPlatforms(t *testing.T) {
	fake, d := startDaemon(t)
	artifact, layers := twoPlatforms(t, "box:1")
	_, err := d.Publish(t.Context(), []Artifact{artifact})
	var several *PlatformsError
	if !errors.As(err, &several) || several.Platforms != 2 || len(fake.requests) > 0 || layers[0].Opens.Load() > 0 {
		t.Errorf("error is %v after %q", err, fake.requests)
	}
}

// answer says something, after it has read all or nothing.
func answer(status int, reads bool, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if reads {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
}

// hangUp reads a little of the archive, and breaks the connection.
func hangUp(w http.ResponseWriter, r *http.Request) {
	_, _ = io.CopyN(io.Discard, r.Body, 1000)
	panic(http.ErrAbortHandler)
}

func TestDaemonThatFailsToLoad(t *testing.T) {
	for title, c := range map[string]struct {
		load http.HandlerFunc
		says string
	}{
		"no space":            {answer(500, true, `{"message":"write /x: no space left on device"}`), "500 Internal Server Error: write /x: no space left on device"},
		"refuses at once":     {answer(403, false, "denied by a plugin\nmore"), "403 Forbidden: denied by a plugin"},
		"says nothing":        {answer(502, true, ""), "502 Bad Gateway"},
		"error in the stream": {answer(200, true, `{"stream":"x"}{"errorDetail":{"message":"invalid tar header"},"error":"x"}`), "loading images: invalid tar header"},
		"error without more":  {answer(200, true, `{"error":"invalid diffID"}`), "loading images: invalid diffID"},
		"half an answer":      {answer(200, true, `{"stream":`), "reading its answer"},
		"no JSON":             {answer(200, true, `<html>`), "reading its answer"},
		"endless answer":      {answer(200, true, strings.Repeat(`{"stream":"x"}`, maxAnswer/10)), "more than 4194304 bytes"},
		"breaks off":          {hangUp, "loading images: "},
	} {
		t.Run(title, func(t *testing.T) {
			fake, d := startDaemon(t)
			fake.load = c.load
			layer := registrytest.NewLayer(t, 1, 3_000_000)
			_, err := d.Publish(t.Context(), []Artifact{{Name: "box", Image: registrytest.ImageOf(t, "amd64", layer)}})
			var failure *DaemonError
			if !errors.As(err, &failure) || failure.Host != d.host || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error is %v", err)
			}
			if layer.Live.Load() != 0 {
				t.Error("the layer is still read")
			}
			nothingLeft(t)
		})
	}
}

// An answer that is right does not make up for bytes that were not read.
func TestDaemonThatReadsHalf(t *testing.T) {
	fake, d := startDaemon(t)
	fake.load = answer(200, false, `{"stream":"Loaded image: box"}`)
	layer := registrytest.NewLayer(t, 1, 10_000_000)
	if _, err := d.Publish(t.Context(), []Artifact{{Name: "box", Image: registrytest.ImageOf(t, "amd64", layer)}}); !errors.As(err, new(*DaemonError)) {
		t.Errorf("error is %v", err)
	}
}

func TestLayerThatCannotBeReadIsNotTheDaemonsFault(t *testing.T) {
	broken := errors.New("the store is gone")
	for _, known := range []bool{true, false} {
		fake, d := startDaemon(t)
		layer := registrytest.NewLayer(t, 1, 1_000_000)
		if known {
			layer.Known(t)
		}
		whole := layer.Open
		layer.Open = func() io.Reader { return io.MultiReader(io.LimitReader(whole(), 500_000), iotest.ErrReader(broken)) }
		_, err := d.Publish(t.Context(), []Artifact{{Name: "box", Image: registrytest.ImageOf(t, "amd64", layer)}})
		if !errors.Is(err, broken) || errors.As(err, new(*DaemonError)) || layer.Live.Load() != 0 {
			t.Errorf("known %t: error is %v", known, err)
		}
		fake.mu.Lock()
		if fake.archive != nil {
			t.Errorf("known %t: the daemon took half an archive for a whole one", known)
		}
		fake.mu.Unlock()
		nothingLeft(t)
	}
}

func TestDaemonIsLeftWhenCancelled(t *testing.T) {
	fake, d := startDaemon(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	why, gone := errors.New("enough"), make(chan struct{})
	fake.load = func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 1000)
		cancel(why)
		_, _ = io.Copy(io.Discard, r.Body) // until the client leaves
		close(gone)
	}
	layer := registrytest.NewLayer(t, 1, 1000).Known(t)
	endless := io.MultiReader(layer.Open(), iotest.OneByteReader(rest{ctx}))
	layer.Bytes, layer.Open = 1<<40, func() io.Reader { return endless }
	_, err := d.Publish(ctx, []Artifact{{Name: "box", Image: registrytest.ImageOf(t, "amd64", layer)}})
	if !errors.Is(err, why) || layer.Live.Load() != 0 {
		t.Errorf("error is %v; %d streams are open", err, layer.Live.Load())
	}
	<-gone
}

// rest has bytes until ctx ends, and then waits for nothing.
type rest struct{ ctx context.Context }

func (r rest) Read(p []byte) (int, error) { return len(p), r.ctx.Err() }

func TestDaemonThatIsNotThere(t *testing.T) {
	dir := t.TempDir()
	deaf := filepath.Join(dir, "deaf")
	listener, err := net.Listen("unix", deaf)
	if err != nil {
		t.Fatal(err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = listener.Close()
	for host, says := range map[string]string{
		"unix://" + dir + "/none": "there is no such socket; start docker, name another with DOCKER_HOST, or write a file with type=docker,dest=FILE",
		"unix://" + deaf:          "connection refused; start docker",
	} {
		err := newDaemon(t, host).Check(t.Context(), nil)
		if !errors.As(err, new(*DaemonError)) || !strings.Contains(err.Error(), host) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error is %v", host, err)
		}
	}
	// Root may open every socket, so the error is made by hand.
	denied := &DaemonError{Host: DefaultDaemon, Op: "asking", Err: &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EACCES)}}
	if !errors.Is(denied, fs.ErrPermission) || !strings.Contains(denied.Error(), "permission denied; add the user to the group docker") {
		t.Errorf("error is %v", denied)
	}
}

func TestDaemonThatIsNoDaemon(t *testing.T) {
	for title, c := range map[string]struct {
		ping http.HandlerFunc
		says string
	}{
		"a web server": {answer(200, true, "<html>"), "does not speak docker's API"},
		"a version that is a path": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Api-Version", "1/../../x")
		}, "does not speak docker's API"},
		"a daemon in need": {answer(500, true, `{"message":"shutting down"}`), "500 Internal Server Error: shutting down"},
	} {
		fake, d := startDaemon(t)
		fake.ping = c.ping
		if err := d.Check(t.Context(), nil); !errors.As(err, new(*DaemonError)) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error is %v", title, err)
		}
		if _, err := d.Publish(t.Context(), nil); !errors.As(err, new(*DaemonError)) || len(fake.requests) != 2 {
			t.Errorf("%s: published after %q: %v", title, fake.requests, err)
		}
	}
}

func TestDaemonOverTCP(t *testing.T) {
	fake := &fakeDaemon{ping: pong}
	plain, secure := httptest.NewServer(fake), httptest.NewUnstartedServer(fake)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake that is to fail
	secure.StartTLS()
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	trusted := &tls.Config{RootCAs: x509.NewCertPool()}
	trusted.RootCAs.AddCert(secure.Certificate())
	for _, c := range []struct {
		server *httptest.Server
		config *tls.Config
		says   string
	}{
		{plain, nil, ""}, {secure, trusted, ""},
		{secure, nil, "set DOCKER_TLS_VERIFY=1"},
		{plain, trusted, "it speaks no TLS"},
	} {
		d, err := NewDaemon(DaemonOptions{Host: "tcp://" + c.server.Listener.Addr().String(), TLS: c.config})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Check(t.Context(), nil); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s with TLS %t: error is %v, want %q", d.host, c.config != nil, err, c.says)
		}
	}
}

func TestDaemonAddresses(t *testing.T) {
	if d, err := NewDaemon(DaemonOptions{}); err != nil || d.host != DefaultDaemon {
		t.Errorf("got %v, %v", d, err)
	}
	for _, host := range []string{
		"docker", "/var/run/docker.sock", "unix://", "unix://host/path", "tcp://host", "tcp://", "tcp://host:1/path", "npipe:////./pipe/x", "ssh://host",
		"tcp://u:hunter2@host:1", "tcp://host:1?x=hunter2", "tcp://h\x00:hunter2",
	} {
		if _, err := NewDaemon(DaemonOptions{Host: host}); err == nil || !strings.Contains(fmt.Sprint(err), "unix:///path or tcp://host:port") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: error is %v", host, err)
		}
	}
}
