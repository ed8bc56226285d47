package serve

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/org/nixery-action/internal/spec"
)

// A commit that no branch or tag reaches is never evaluated, and asking for many costs the repository no more than one fetch
// in a while.
func TestForeignCommits(t *testing.T) {
	r := newRegistry(t, fromGit)
	r.nix.move(commits[0])
	now := time.Now()
	r.clock(func() time.Time { return now })
	r.nix.foreign = map[string]bool{}
	for i := range 20 {
		foreign := fmt.Sprintf("%040x", i)
		r.nix.foreign[foreign] = true
		answer := r.refuse(http.StatusNotFound, "MANIFEST_UNKNOWN", http.MethodGet, "/v2/app/manifests/"+foreign)
		if !strings.Contains(answer, "is on no branch or tag") {
			t.Errorf("the answer is %s", answer)
		}
	}
	if r.nix.count("nix-instantiate") != 0 || r.nix.fetches != 1 {
		t.Errorf("Nix ran %d times, and the mirror was fetched %d times", r.nix.count("nix-instantiate"), r.nix.fetches)
	}
	first := fmt.Sprintf("%040x", 0)
	now = now.Add(refetch + time.Second) // it is pushed meanwhile
	r.nix.foreign[first] = false
	r.get("/v2/app/manifests/" + first)
	if r.nix.fetches != 1 { // the mirror had it, so nothing was asked
		t.Errorf("the mirror was fetched %d times", r.nix.fetches)
	}
	r.refuse(http.StatusNotFound, "MANIFEST_UNKNOWN", http.MethodGet, "/v2/app/manifests/"+fmt.Sprintf("%040x", 7))
	if r.nix.fetches != 2 {
		t.Errorf("after a while the mirror was fetched %d times", r.nix.fetches)
	}
}

// Where nothing can be found out, nothing is served, and the repository is left in peace.
func TestMirrorFails(t *testing.T) {
	r := newRegistry(t, func(o *Options) {
		o.Source = spec.Nixpkgs{Git: &spec.Git{URL: "https://user:hunter2@example.com/pkgs.git"}}
	})
	for i := range 5 {
		answer := r.refuse(http.StatusServiceUnavailable, "UNAVAILABLE", http.MethodGet, fmt.Sprintf("/v2/app/manifests/%040x", i))
		if strings.Contains(answer, "hunter2") {
			t.Errorf("the password is in %s", answer)
		}
	}
	if r.nix.count("nix-instantiate") != 0 || r.nix.fetches != 1 {
		t.Errorf("Nix ran %d times, and the mirror was fetched %d times", r.nix.count("nix-instantiate"), r.nix.fetches)
	}
}

// gitHub is an API that knows of nixpkgs' branches.
type gitHub struct {
	mu     sync.Mutex
	on     map[string]string // commit to the branch it is on; "" for a fork's
	status int               // of all answers, if not 0
	asked  []string
}

func (g *gitHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, r.URL.Path)
	compared, isCompare := strings.CutPrefix(r.URL.Path, "/repos/NixOS/nixpkgs/compare/")
	switch {
	case g.status != 0:
		w.WriteHeader(g.status)
	case strings.HasSuffix(r.URL.Path, "/git/matching-refs/heads/release-"):
		fmt.Fprint(w, `[{"ref":"refs/heads/release-24.11"},{"ref":"refs/heads/release-25.05"},{"ref":"refs/heads/release-25.11"},
			{"ref":"refs/heads/release-0.13"},{"ref":"refs/heads/release-25.11-evil"}]`)
	case isCompare:
		branch, commit, _ := strings.Cut(compared, "...")
		on, exists := g.on[commit]
		switch {
		case !exists:
			w.WriteHeader(http.StatusNotFound)
		case on == branch:
			fmt.Fprint(w, `{"status":"behind","files":[]}`)
		case on == "ahead":
			fmt.Fprint(w, `{"status":"ahead"}`)
		default:
			fmt.Fprint(w, `{"status":"diverged"}`)
		}
	default:
		w.WriteHeader(http.StatusTeapot)
	}
}

func TestCommitsOfNixpkgs(t *testing.T) {
	commit := func(digit string) string { return strings.Repeat(digit, 40) }
	api := &gitHub{on: map[string]string{commit("1"): "master", commit("2"): "release-24.11", commit("3"): "", commit("4"): "ahead", commit("5"): "release-25.11-evil"}}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	r := newRegistry(t, func(o *Options) {
		o.Source, o.Commits, o.GitHubAPI = spec.Nixpkgs{Channel: "nixos-25.11"}, true, server.URL
	})
	now := time.Now()
	r.clock(func() time.Time { return now })
	for range 2 {
		r.get("/v2/app/manifests/" + commit("1"))
		r.get("/v2/htop/manifests/" + commit("2"))
	}
	if asked := len(api.asked); asked > 1+1+4 {
		t.Errorf("GitHub was asked %d times: %v", asked, api.asked)
	}
	ran := r.nix.count("nix-instantiate")
	for _, digit := range []string{"3", "4", "5", "6"} {
		answer := r.refuse(http.StatusNotFound, "MANIFEST_UNKNOWN", http.MethodGet, "/v2/app/manifests/"+commit(digit))
		if !strings.Contains(answer, "nixpkgs") {
			t.Errorf("the answer is %s", answer)
		}
	}
	asked := len(api.asked)
	r.refuse(http.StatusNotFound, "MANIFEST_UNKNOWN", http.MethodGet, "/v2/git/manifests/"+commit("3"))
	if len(api.asked) != asked {
		t.Errorf("GitHub was asked again: %v", api.asked[asked:])
	}
	api.status = http.StatusForbidden // as when it is asked too often
	for _, digit := range []string{"7", "8", "9"} {
		r.refuse(http.StatusServiceUnavailable, "UNAVAILABLE", http.MethodGet, "/v2/app/manifests/"+commit(digit))
	}
	if len(api.asked) != asked+1 {
		t.Errorf("GitHub was asked %d times while it refuses", len(api.asked)-asked)
	}
	r.get("/v2/git/manifests/" + commit("1")) // which is known
	if got := r.nix.count("nix-instantiate"); got != ran+1 {
		t.Errorf("Nix ran %d times for one commit of nixpkgs and six others", got-ran)
	}
}
