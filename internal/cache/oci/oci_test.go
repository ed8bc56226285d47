package oci

import (
	"errors"
	"io"
	"log"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/cache/cachetest"
)

// newRegistryFront returns a registry that can be made to fail.
func newRegistryFront() *cachetest.Front {
	return &cachetest.Front{Inner: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
}

// TestRegistryTrouble runs a build's use of the cache against a registry that fails.
func TestRegistryTrouble(t *testing.T) {
	denied := `{"errors":[{"code":"DENIED","message":"you may not"}]}`
	for name, trouble := range map[string]cachetest.Trouble{
		"fine":              {Part: "nothing", Saved: true},
		"401":               {Part: " ", Answer: cachetest.Status(401, denied, "WWW-Authenticate", `Basic realm="r"`), Log: []string{"HTTP 401"}, Requests: 3},
		"403 for writing":   {Part: "POST ", Answer: cachetest.Status(403, denied), Log: []string{"not written in this run"}},
		"429":               {Part: " ", Answer: cachetest.Status(429, denied), Log: []string{"HTTP 429"}, Requests: 1},
		"500":               {Part: " ", Answer: cachetest.Status(500, denied), Log: []string{"HTTP 500: you may not"}, Requests: cache.Attempts, Wait: 6 * time.Second},
		"500 once":          {Part: "GET /v2/", Nth: 1, Answer: cachetest.Status(500, denied), Saved: true},
		"500 while sending": {Part: "PATCH ", Nth: 1, Answer: cachetest.Status(500, denied), Saved: true},
		"500 for the tag":   {Part: "PUT /v2/acme/box/manifests", Nth: 1, Answer: cachetest.Status(500, denied), Saved: true},
		"blob not seen yet": {Part: "PUT /v2/acme/box/manifests", Nth: 1, Saved: true,
			Answer: cachetest.Status(400, `{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}`)},
		"502":          {Part: " ", Answer: cachetest.Status(502, ""), Log: []string{"HTTP 502"}, Requests: 1},
		"breaks":       {Part: "GET /v2/acme/box/manifests", Nth: 1, Answer: cachetest.HangUp, Saved: true},
		"silence":      {Part: " ", Answer: cachetest.Silence, Log: []string{"timeout"}, Requests: 1, Wait: 2 * time.Minute},
		"blob is gone": {Part: "GET /v2/acme/box/blobs", Answer: cachetest.Status(404, denied), Saved: true, Lost: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runTrouble2(t, trouble) })
		})
	}
}

func runTrouble2(t *testing.T, trouble cachetest.Trouble) {
	front := newRegistryFront()
	transport := cachetest.Network(t, front)
	cachetest.Use(t, cachetest.NewTestCache(openRegistry(t, transport)), "old", "old")
	front.Requests = nil
	front.Add(&cachetest.Fault{Part: trouble.Part, Nth: max(trouble.Nth, 1), Onward: trouble.Nth == 0, Answer: trouble.Answer})
	begin, c := time.Now(), cachetest.NewTestCache(openRegistry(t, transport))
	cachetest.Use(t, c, "old", "new")
	if n := len(front.Matching("")); trouble.Requests > 0 && n > trouble.Requests {
		t.Errorf("%d requests, want at most %d: %q", n, trouble.Requests, front.Requests)
	}
	if waited := time.Since(begin); waited > max(trouble.Wait, 4*time.Second) {
		t.Errorf("it took %s", waited)
	}
	c.CheckLog(t, trouble.Log...)
	front.Faults = nil
	known := cachetest.NewTestCache(openRegistry(t, transport)).Open(t.Context(), cachetest.TestIdentity)
	_, old := known.Inspected("old")
	_, saved := known.Inspected("new")
	if old == trouble.Lost || saved != trouble.Saved {
		t.Errorf("the old snapshot is there: %v, the new: %v", old, saved)
	}
}

// A registry is asked as little as can be.
func TestRegistryRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		front := newRegistryFront()
		transport := cachetest.Network(t, front)
		cachetest.Use(t, cachetest.NewTestCache(openRegistry(t, transport)), "old", "old")
		front.Requests = nil
		c := cachetest.NewTestCache(openRegistry(t, transport))
		c.Save(t.Context(), cachetest.TestIdentity, cachetest.NewTestSnapshot("old"))
		cachetest.CheckKnows(t, c.Open(t.Context(), cachetest.TestIdentity), "old")
		if n := len(front.Matching("")); n > 5 { // handshake; manifest and blob, twice
			t.Errorf("%d requests: %q", n, front.Requests)
		}
	})
}

// Whoever finds that the tag was moved meanwhile has to try again.
func TestRegistryTagMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		front := newRegistryFront()
		transport := cachetest.Network(t, front)
		other, name := openRegistry(t, transport), cache.Name{Scope: cachetest.Scope("a"), Serial: 1}
		front.Add(&cachetest.Fault{Part: "HEAD /v2/acme/box/manifests", Nth: 1, Answer: func(w http.ResponseWriter, r *http.Request) {
			cachetest.Save(t, other, cache.Name{Scope: cachetest.Scope("a"), Serial: 2}, "other")
			front.Inner.ServeHTTP(w, r)
		}})
		if err := openRegistry(t, transport).Save(t.Context(), name, 4, cachetest.Opener("mine")); !errors.Is(err, cache.ErrExists) {
			t.Errorf("error is %v", err)
		}
		cachetest.CheckNewest(t, other, cache.Name{Scope: cachetest.Scope("a"), Serial: 2}, "other")
	})
}

func TestRegistryTagOfSomethingElse(t *testing.T) {
	for name, manifest := range map[string]string{
		"an image":        `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}`,
		"not JSON":        "hello",
		"another scope":   artifactText(t, cache.Name{Scope: cachetest.Scope("b"), Serial: 1}, cachetest.HashOf("x").String(), ArtifactType),
		"another type":    artifactText(t, cache.Name{Scope: cachetest.Scope("a"), Serial: 1}, cachetest.HashOf("x").String(), "text/plain"),
		"strange content": artifactText(t, cache.Name{Scope: cachetest.Scope("a"), Serial: 1}, "sha512:"+strings.Repeat("0", 128), ArtifactType),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				front := newRegistryFront()
				front.Add(&cachetest.Fault{Part: "GET /v2/acme/box/manifests", Nth: 1,
					Answer: cachetest.Status(200, manifest, "Content-Type", "application/vnd.oci.image.manifest.v1+json")})
				_, err := openRegistry(t, cachetest.Network(t, front)).Newest(t.Context(), cachetest.Scope("a"))
				var fault *cache.StoreError
				if !errors.As(err, &fault) || fault.Kind != cache.Damaged {
					t.Errorf("error is %v", err)
				}
			})
		})
	}
}

func artifactText(t *testing.T, name cache.Name, digest, artifactType string) string {
	a, err := newArtifact(name, artifactLayer{digest: cachetest.HashOf("x"), size: 1})
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(cachetest.HashOf("x").String(), digest, ArtifactType, artifactType).Replace(string(a.manifest))
}

func TestGuard(t *testing.T) {
	g := newLimitedTransport(nil, []string{"plain.example", "10.0.0.1:5000"})
	for host, want := range map[string]bool{
		"127.0.0.1:5000": true, "localhost": true, "[::1]:5000": true, "127.9.9.9": true,
		"plain.example:80": true, "10.0.0.1:5000": true, "10.0.0.1:5001": false, "r.example": false, "192.168.1.1": false,
	} {
		if g.allowsPlain(host) != want {
			t.Errorf("plain HTTP to %s: %v", host, !want)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://192.168.1.1/v2/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.RoundTrip(req); err == nil || !strings.Contains(err.Error(), "plain HTTP to 192.168.1.1 is not allowed") {
		t.Errorf("error is %v", err)
	}
}

// tagImage puts something that is not ours under a tag.
func tagImage(t *testing.T, transport http.RoundTripper, tag string) {
	t.Helper()
	ref, err := name.NewTag("127.0.0.1:5000/acme/box:" + tag)
	if err == nil {
		err = remote.Write(ref, empty.Image, remote.WithTransport(transport))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestRegistryInventory(t *testing.T) {
	front := newRegistryFront()
	transport := cachetest.Network(t, front)
	ours := openRegistry(t, transport)
	if all, err := ours.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("of a repository that is not there: %v, %v", all, err)
	}
	history, blob := cache.Name{Scope: cachetest.Scope("a"), Serial: 3}, cache.Name{Scope: cache.BlobScope(cachetest.HashOf("x")), Serial: 1}
	cachetest.Save(t, ours, history, "content")
	cachetest.Save(t, ours, blob, "x")
	cachetest.Save(t, ours, cache.Name{Scope: "nixery2-notes", Serial: 1}, "of another format")
	tagImage(t, transport, "latest")
	tagImage(t, transport, "cache-"+string(cachetest.Scope("b")))        // a scope's tag, but an image
	tagImage(t, transport, "cache-"+string(cachetest.Scope("a"))+"-old") // of another form
	other, err := New("127.0.0.1:5000/acme/box", Options{Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	cachetest.Save(t, other, cache.Name{Scope: cachetest.Scope("c"), Serial: 1}, "another cache in the repository")
	all, err := ours.List(t.Context())
	if err != nil || !slices.Equal(cachetest.Names(cache.NewestFirst(all)), []string{history.String(), blob.String()}) || cache.NewestFirst(all)[0].Size != 7 {
		t.Fatalf("%+v, %v", all, err)
	}
	front.Requests = nil
	for range 2 {
		for _, entry := range all {
			if err := ours.Remove(t.Context(), entry); err != nil {
				t.Error(err)
			}
		}
	}
	const manifests = "DELETE /v2/acme/box/manifests/"
	twice := []string{manifests + all[0].ID, manifests + all[1].ID, manifests + all[0].ID, manifests + all[1].ID}
	if diff := cmp.Diff(twice, front.Matching("DELETE ")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	cachetest.CheckNewest(t, other, cache.Name{Scope: cachetest.Scope("c"), Serial: 1}, "another cache in the repository")
}

// Two caches in one repository may have saved the same: then both tags are one manifest, and deleting it would take the other's.
func TestRegistrySharedManifest(t *testing.T) {
	transport := cachetest.Network(t, newRegistryFront())
	ours := openRegistry(t, transport)
	other, err := New("127.0.0.1:5000/acme/box:other", Options{Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	same := cache.Name{Scope: cache.BlobScope(cachetest.HashOf("x")), Serial: 1}
	cachetest.Save(t, ours, same, "x")
	cachetest.Save(t, other, same, "x")
	if all, err := ours.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestRegistryRefusesToDelete(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		want   string
	}{
		"not supported": {405, "HTTP 405: no: this registry deletes nothing on request"},
		"not allowed":   {403, "HTTP 403: no: these credentials may not delete"},
		"out of order":  {502, "HTTP 502"},
	} {
		t.Run(name, func(t *testing.T) {
			front := newRegistryFront()
			r := openRegistry(t, cachetest.Network(t, front))
			cachetest.Save(t, r, cache.Name{Scope: cachetest.Scope("a"), Serial: 1}, "content")
			all, err := r.List(t.Context())
			if err != nil || len(all) != 1 {
				t.Fatal(all, err)
			}
			front.Add(&cachetest.Fault{Part: "DELETE ", Nth: 1, Onward: true, Answer: cachetest.Status(c.status, `{"errors":[{"code":"UNSUPPORTED","message":"no"}]}`)})
			if err := r.Remove(t.Context(), all[0]); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
