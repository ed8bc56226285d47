package cache

import (
	"errors"
	"io"
	"log"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// newRegistryFront returns a registry that can be made to fail.
func newRegistryFront() *front {
	return &front{inner: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
}

// TestRegistryTrouble runs a build's use of the cache against a registry that fails.
func TestRegistryTrouble(t *testing.T) {
	denied := `{"errors":[{"code":"DENIED","message":"you may not"}]}`
	for name, trouble := range map[string]trouble{
		"fine":              {part: "nothing", saved: true},
		"401":               {part: " ", answer: status(401, denied, "WWW-Authenticate", `Basic realm="r"`), log: []string{"HTTP 401"}, requests: 3},
		"403 for writing":   {part: "POST ", answer: status(403, denied), log: []string{"not written in this run"}},
		"429":               {part: " ", answer: status(429, denied), log: []string{"HTTP 429"}, requests: 1},
		"500":               {part: " ", answer: status(500, denied), log: []string{"HTTP 500: you may not"}, requests: attempts, wait: 6 * time.Second},
		"500 once":          {part: "GET /v2/", nth: 1, answer: status(500, denied), saved: true},
		"500 while sending": {part: "PATCH ", nth: 1, answer: status(500, denied), saved: true},
		"500 for the tag":   {part: "PUT /v2/acme/box/manifests", nth: 1, answer: status(500, denied), saved: true},
		"blob not seen yet": {part: "PUT /v2/acme/box/manifests", nth: 1, saved: true,
			answer: status(400, `{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}`)},
		"502":          {part: " ", answer: status(502, ""), log: []string{"HTTP 502"}, requests: 1},
		"breaks":       {part: "GET /v2/acme/box/manifests", nth: 1, answer: hangUp, saved: true},
		"silence":      {part: " ", answer: silence, log: []string{"timeout"}, requests: 1, wait: 2 * time.Minute},
		"blob is gone": {part: "GET /v2/acme/box/blobs", answer: status(404, denied), saved: true, lost: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { trouble.runRegistry(t) })
		})
	}
}

func (trouble trouble) runRegistry(t *testing.T) {
	front := newRegistryFront()
	transport := network(t, front)
	use(t, newTestCache(openRegistry(t, transport)), "old", "old")
	front.requests = nil
	front.add(&fault{part: trouble.part, nth: max(trouble.nth, 1), onward: trouble.nth == 0, answer: trouble.answer})
	begin, c := time.Now(), newTestCache(openRegistry(t, transport))
	use(t, c, "old", "new")
	if n := len(front.matching("")); trouble.requests > 0 && n > trouble.requests {
		t.Errorf("%d requests, want at most %d: %q", n, trouble.requests, front.requests)
	}
	if waited := time.Since(begin); waited > max(trouble.wait, 4*time.Second) {
		t.Errorf("it took %s", waited)
	}
	c.checkLog(t, trouble.log...)
	front.faults = nil
	known := newTestCache(openRegistry(t, transport)).Open(t.Context(), testIdentity)
	_, old := known.Image("old")
	_, saved := known.Image("new")
	if old == trouble.lost || saved != trouble.saved {
		t.Errorf("the old snapshot is there: %v, the new: %v", old, saved)
	}
}

// A registry is asked as little as can be.
func TestRegistryRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		front := newRegistryFront()
		transport := network(t, front)
		use(t, newTestCache(openRegistry(t, transport)), "old", "old")
		front.requests = nil
		c := newTestCache(openRegistry(t, transport))
		c.Save(t.Context(), testIdentity, snapshot("old"))
		checkKnows(t, c.Open(t.Context(), testIdentity), "old")
		if n := len(front.matching("")); n > 5 { // handshake; manifest and blob, twice
			t.Errorf("%d requests: %q", n, front.requests)
		}
	})
}

// Whoever finds that the tag was moved meanwhile has to try again.
func TestRegistryTagMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		front := newRegistryFront()
		transport := network(t, front)
		other, name := openRegistry(t, transport), Name{scope("a"), 1}
		front.add(&fault{part: "HEAD /v2/acme/box/manifests", nth: 1, answer: func(w http.ResponseWriter, r *http.Request) {
			save(t, other, Name{scope("a"), 2}, "other")
			front.inner.ServeHTTP(w, r)
		}})
		if err := openRegistry(t, transport).Save(t.Context(), name, 4, opener("mine")); !errors.Is(err, ErrExists) {
			t.Errorf("error is %v", err)
		}
		checkNewest(t, other, Name{scope("a"), 2}, "other")
	})
}

func TestRegistryTagOfSomethingElse(t *testing.T) {
	for name, manifest := range map[string]string{
		"an image":        `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}`,
		"not JSON":        "hello",
		"another scope":   artifactText(t, Name{scope("b"), 1}, hashOf("x").String(), ArtifactType),
		"another type":    artifactText(t, Name{scope("a"), 1}, hashOf("x").String(), "text/plain"),
		"strange content": artifactText(t, Name{scope("a"), 1}, "sha512:"+strings.Repeat("0", 128), ArtifactType),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				front := newRegistryFront()
				front.add(&fault{part: "GET /v2/acme/box/manifests", nth: 1,
					answer: status(200, manifest, "Content-Type", "application/vnd.oci.image.manifest.v1+json")})
				_, err := openRegistry(t, network(t, front)).Newest(t.Context(), scope("a"))
				var fault *StoreError
				if !errors.As(err, &fault) || fault.Kind != Damaged {
					t.Errorf("error is %v", err)
				}
			})
		})
	}
}

func artifactText(t *testing.T, name Name, digest, artifactType string) string {
	a, err := newArtifact(name, artifactLayer{digest: hashOf("x"), size: 1})
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(hashOf("x").String(), digest, ArtifactType, artifactType).Replace(string(a.manifest))
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
