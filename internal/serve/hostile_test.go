package serve

import (
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/blobstore"
	"github.com/org/nixery-action/internal/serve/route"
	"github.com/org/nixery-action/internal/spec"
)

// bait is what hostile paths are made of.
var bait = []string{
	"/v2/", "git", "app", "shell", "arm64", "/", "//", "..", "../", "%2e%2e", "%2F", "\\", "manifests", "blobs", "tags", "list", "referrers", "uploads",
	"latest", someCommit, "sha256:", absentDigest, "md5:", ":", "@", "?", "#", "&n=", "${", "}", "`", "$(id)", ";", "|", "<", ">", "'", "\"", " ", "\n", "\r\n",
	"\x00", "\xff", "日本", "\u202e", "A", "_", "__", "-", ".", "~", "*", "[", "etc/passwd", "nix/store", "builtins.exec", "import <nixpkgs>", "--option", "-I",
	strings.Repeat("a", 300), strings.Repeat("a/", 200), "x.y.z", "0",
}

// hostileRegistry is over a directory, outside of which there is a file that no client may read.
func hostileRegistry(t testing.TB) (r *registry, around string) {
	around = t.TempDir()
	if err := os.WriteFile(filepath.Join(around, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	r = newRegistry(t, func(o *Options) {
		var err error
		if o.Blobs, err = blobstore.Open(t.Context(), filepath.Join(around, "store"), blobstore.Options{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { o.Blobs.Close() })
		o.Source = spec.Nixpkgs{Channel: someCommit}
	})
	return r, around
}

// attack sends a path as it is to the handler, with what no client would send. It must not be the server's fault, and no process may
// start for a name that is not one.
func (r *registry) attack(t testing.TB, method, path string) {
	t.Helper()
	request := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	request.Method = method
	request.URL = &url.URL{Path: path}
	before := r.nix.count("")
	answer := httptest.NewRecorder()
	r.Handler().ServeHTTP(answer, request)
	if answer.Code >= http.StatusInternalServerError {
		t.Errorf("%s %q: %d %s", method, path, answer.Code, answer.Body)
	}
	if r.nix.count("") == before {
		return
	}
	to, ok := route.Parse(path)
	_, badName := route.ParseName(to.Name)
	_, _, badTag := r.tagSource(to.Reference)
	if !ok || to.What != route.Manifest || badName != nil || badTag != nil {
		t.Errorf("%s %q started a process (%v, %v)", method, path, badName, badTag)
	}
}

func untouched(t testing.TB, around string) {
	t.Helper()
	entries, err := os.ReadDir(around)
	if err != nil || len(entries) != 2 {
		t.Errorf("beside the storage there is now %v (%v)", entries, err)
	}
	if content, err := os.ReadFile(filepath.Join(around, "secret")); err != nil || string(content) != "secret" {
		t.Errorf("the file beside the storage is %q (%v)", content, err)
	}
}

func TestHostilePaths(t *testing.T) {
	r, around := hostileRegistry(t)
	random := rand.New(rand.NewPCG(1, 2))
	methods := []string{http.MethodGet, http.MethodGet, http.MethodHead, http.MethodPost, "\x00"}
	for range 10_000 {
		var path strings.Builder
		path.WriteString("/v2/")
		for range 1 + random.IntN(7) {
			path.WriteString(bait[random.IntN(len(bait))])
		}
		if random.IntN(2) == 0 {
			path.WriteString([]string{"/manifests/latest", "/blobs/" + absentDigest, "/tags/list", "/manifests/" + absentDigest}[random.IntN(4)])
		}
		r.attack(t, methods[random.IntN(len(methods))], path.String())
	}
	untouched(t, around)
	if n := r.nix.count("nix-instantiate"); n == 0 {
		t.Error("no path was a good one, so the others prove little")
	}
}

// Over the wire, where encodings, fields and queries come in.
func TestHostileRequests(t *testing.T) {
	r, around := hostileRegistry(t)
	secret := "..%2f..%2f..%2fsecret"
	for _, path := range []string{
		"/v2/" + secret + "/manifests/latest", "/v2/git/blobs/" + secret, "/v2/git/manifests/" + secret, "/v2/git/blobs/sha256:" + secret,
		"/v2/%00/manifests/latest", "/v2/git%0d%0aX:y/manifests/latest", "/v2/git/manifests/latest%0a", "/v2/git/manifests/latest?%00=%ff;&&",
		"/v2/git/tags/list?n=-1", "/v2/git/tags/list?n=99999999999999999999", "/v2/git/tags/list?last=%00%0d%0a", "//v2/git/manifests/latest",
	} {
		answer := r.do(http.MethodGet, path, "Range", "bytes=-1,0-0,5-1,9999999999999999999-", "If-Range", "\"", "Accept", strings.Repeat("a/b;q=,", 500))
		if answer.StatusCode >= http.StatusInternalServerError || strings.Contains(string(answer.content), "secret\n") {
			t.Errorf("%s: %s %s", path, answer.Status, answer.content)
		}
	}
	untouched(t, around)
}

// Clients that take nothing for a while are let go, and their connections with them. Until then they cost next to nothing, and others
// are served.
func TestClientsThatStopReading(t *testing.T) {
	const clients, requests = 8, 100
	r := newRegistry(t, func(o *Options) { o.Stall = 2 * time.Second })
	var layer v1.Descriptor
	for _, l := range r.get("/v2/big/manifests/latest").manifest(t).Layers {
		if l.Size > layer.Size {
			layer = l
		}
	}
	path := "/v2/big/blobs/" + layer.Digest.String()
	http.DefaultClient.CloseIdleConnections()
	eventually(t, "no connection is open", func() bool { return r.open.Load() == 0 })
	before := heap()
	var stopped []net.Conn
	for range clients {
		conn := r.dial(t)
		stopped = append(stopped, conn)
		// 3 MiB again and again, until what lies between the two is full, and the server must wait.
		if _, err := io.WriteString(conn, strings.Repeat("GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n", requests)); err != nil {
			t.Fatal(err)
		}
	}
	grown := heap() - before
	eventually(t, "the server has given them up", func() bool {
		r.get(path, "Connection", "close")
		open := r.open.Load()
		if open == clients { // all of them still
			grown = max(grown, heap()-before)
		}
		return r.open.Load() == 0
	})
	if grown > clients*layer.Size/2 {
		t.Errorf("while %d clients had stopped at %d bytes, the heap grew by %d", clients, layer.Size, grown)
	}
	for _, conn := range stopped {
		if n, err := io.Copy(io.Discard, conn); n == 0 && err == nil || n >= requests*layer.Size {
			t.Errorf("%d bytes came (%v)", n, err)
		}
	}
}

// heap is how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
