//go:build e2e

package attack

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
)

// gate stands before a registry, as the rules of a company's proxy do: it lets some tags not be moved.
type gate struct {
	registry
	mu      sync.Mutex
	refused map[string]bool
	moved   []string // tags for which a manifest was put, in order, refused ones too
}

func openGate(t *testing.T, r registry) *gate {
	t.Helper()
	g := &gate{refused: map[string]bool{}}
	target := &url.URL{Scheme: "http", Host: r.address}
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(target)
		p.Out.Host = p.In.Host // the registry's locations lead here again
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if g.refuses(q) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		proxy.ServeHTTP(w, q)
	}))
	t.Cleanup(server.Close)
	g.registry = registry{strings.TrimPrefix(server.URL, "http://"), r.dir}
	return g
}

func (g *gate) refuses(q *http.Request) bool {
	tag := path.Base(q.URL.Path)
	if q.Method != http.MethodPut || path.Base(path.Dir(q.URL.Path)) != "manifests" || strings.HasPrefix(tag, "sha256:") {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.moved = append(g.moved, tag)
	return g.refused[tag]
}

// refuse lets the next run be refused some tags.
func (g *gate) refuse(tags ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.moved, g.refused = nil, map[string]bool{}
	for _, tag := range tags {
		g.refused[tag] = true
	}
}

// tried are the tags in the order in which the program first asked for them.
func (g *gate) tried() (tags []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, tag := range g.moved {
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return tags
}

// When one of several tags is refused, latest has not moved, and what has moved is said: tags go one after the other, new ones
// first and latest last.
func TestRefusedTagLeavesLatest(t *testing.T) {
	for range 3 { // by luck it goes well once in a while
		u := newUser(t)
		g := openGate(t, startRegistry(t))
		dir := t.TempDir()
		tags := []string{"latest", "v1", "v2"}
		references := func(tags ...string) (all []string) {
			for _, tag := range tags {
				all = append(all, g.address+"/acme/app:"+tag)
			}
			return all
		}
		push := func(code int, tags ...string) ran {
			inputs := map[string]string{"push": "true", "tags": strings.Join(references(tags...), "\n"), "metadata-file": "meta.json"}
			return u.step(t, dir, inputs).wants(t, code)
		}
		write(t, dir, map[string]string{"nixery.yaml": outputsSpec, "set.nix": set("old" + salt())})
		push(0, "latest", "v1")
		old := g.digest(t, "acme/app:latest")

		write(t, dir, map[string]string{"set.nix": set("new" + salt())})
		g.refuse("v1")
		run := push(1, tags...)
		if tried := g.tried(); !slices.Equal(tried, []string{"v2", "v1"}) {
			t.Errorf("tags were moved in the order %q, want v2, then v1, which is refused", tried)
		}
		for _, tag := range []string{"latest", "v1"} {
			if g.digest(t, "acme/app:"+tag) != old {
				t.Errorf("%s has moved:\n%s", tag, run.said)
			}
		}
		if g.digest(t, "acme/app:v2") == old {
			t.Error("v2 is the old image")
		}
		for _, reference := range references("v1", "v2") {
			if !strings.Contains(run.said, reference) {
				t.Errorf("%s is not said to be refused, or to have moved:\n%s", reference, run.said)
			}
		}

		// What was refused is made up for by the next run.
		g.refuse()
		push(0, tags...)
		if tried := g.tried(); len(tried) == 0 || tried[len(tried)-1] != "latest" {
			t.Errorf("tags were moved in the order %q, want latest last", tried)
		}
		for _, tag := range tags {
			if g.digest(t, "acme/app:"+tag) == old {
				t.Errorf("%s has not moved", tag)
			}
		}
	}
}

// The page and the outputs of the step say the same.
func TestRefusedTagIsSaidUnderAct(t *testing.T) {
	u := newUser(t)
	g := openGate(t, startRegistry(t))
	const workflow = `
on: push
jobs:
  image:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
      - uses: org/nixery-action@v1
        with:
          push: true
          tags: |
            GATE/acme/app:latest
            GATE/acme/app:v1
            GATE/acme/app:v2
`
	dir := u.repository(t, map[string]string{
		"nixery.yaml": outputsSpec, "set.nix": set(salt()), ".github/workflows/image.yml": strings.ReplaceAll(workflow, "GATE", g.address),
	})
	g.refuse("v2")
	run := u.act(t, dir)
	if run.code == 0 {
		t.Fatalf("a refused tag is no fault:\n%s", run.log)
	}
	if tags := g.tags(t, "acme/app"); !slices.Equal(tags, []string{"v1"}) {
		t.Errorf("the tags are %q, want v1, which came before the one that is refused:\n%s", tags, run.log)
	}
	if page := plain(run.pages); !strings.Contains(page, "acme/app:v1") || strings.Contains(page, "No image was") {
		t.Errorf("the page does not say what has moved:\n%s", page)
	}
	if got := run.outputs["tags"]; strings.Contains(got, ":latest") || strings.Contains(got, ":v2") || !strings.Contains(got, "acme/app:v1") {
		t.Errorf("the output tags is %q, want what has moved", got)
	}
}

// plain is Markdown as its reader sees it, as far as references go.
func plain(page string) string {
	return strings.NewReplacer(`\`, "", "&#58;", ":", "&#64;", "@").Replace(page)
}
