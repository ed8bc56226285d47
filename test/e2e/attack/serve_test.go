//go:build e2e

package attack

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// server is serve, and where it keeps what it builds.
type server struct{ address, depot string }

func (u *user) serve(t *testing.T, args ...string) server {
	t.Helper()
	depot := t.TempDir()
	all := append([]string{"serve", "--address", "127.0.0.1", "--port", "0", "--storage", depot, "--architectures", "amd64"}, args...)
	return server{start(t, u.environ(), binary, all...), depot}
}

// pull asks for a manifest as clients do, and returns the status and what else was said.
func (s server) pull(t *testing.T, repository, tag string) (int, string) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.address+"/v2/"+repository+"/manifests/"+tag, nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Accept", "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json")
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// gives wants an image whose package has a text.
func (s server) gives(t *testing.T, repository, tag, text string) {
	t.Helper()
	if status, said := s.pull(t, repository, tag); status != http.StatusOK {
		t.Errorf("%s:%s is answered with %d: %s", repository, tag, status, said)
	} else if len(holding(t, s.depot, text)) == 0 {
		t.Errorf("%s:%s has no %q", repository, tag, text)
	}
}

// refuses wants no image: it is the request that is wrong, so that it is not tried again.
func (s server) refuses(t *testing.T, repository, tag string, secrets map[string]string) {
	t.Helper()
	status, said := s.pull(t, repository, tag)
	if status < 400 || status > 499 {
		t.Errorf("%s:%s is answered with %d, want a refusal: %s", repository, tag, status, said)
	}
	unsaid(t, secrets, "the answer for "+tag, said)
}

// nosy is a package set whose package has a text, and what an expression gives: a string, or a file in the store.
func nosy(text, expression string) string {
	return fmt.Sprintf(`{ system ? "x86_64-linux", ... }: { app = derivation {
  name = "app"; inherit system; PATH = "/usr/bin:/bin"; builder = "/bin/sh"; stolen = %s;
  args = [ "-c" "mkdir $out; echo %s $stolen >$out/app; case $stolen in /nix/store/*) cat $stolen >$out/stolen;; esac; env >$out/env" ];
}; }
`, expression, text)
}

// readings are ways in which an expression may get at a file of the server, SHADOW, or at its variables.
var readings = map[string]string{
	"file":      `builtins.readFile "SHADOW"`,
	"variables": `builtins.getEnv "AWS_SECRET_ACCESS_KEY" + builtins.getEnv "NIXERY_CACHE_KEY"`,
	"link":      `builtins.readFile ./link`,
	"copy":      `"${SHADOW}"`,
	"path":      `builtins.path { path = "SHADOW"; name = "stolen"; }`,
	"search":    `builtins.readFile (builtins.findFile [ { prefix = "x"; path = "SHADOW"; } ] "x")`,
	"fetch":     `builtins.fetchurl "file://SHADOW"`,
	"filter":    `builtins.filterSource (_: _: true) (dirOf "SHADOW") + "/shadow"`,
}

// plainSet is one whose package has a text.
func plainSet(text string) string {
	return fmt.Sprintf(`{ system ? "x86_64-linux", ... }: { app = derivation {
  name = "app"; inherit system; PATH = "/usr/bin:/bin"; builder = "/bin/sh"; args = [ "-c" "mkdir $out; echo %s >$out/app" ];
}; }
`, text)
}

// upstream is a git repository as GitHub has it: a stranger's commit is there under refs/pull, and whoever names a commit gets it.
type upstream struct {
	dir                                 string
	first, main, tagged, pull, orphaned string // commits
}

func newUpstream(t *testing.T, u *user, texts map[string]string, shadow string) upstream {
	t.Helper()
	up := upstream{dir: u.repository(t, map[string]string{"default.nix": plainSet(texts["first"])})}
	commit := func(set string) string {
		write(t, up.dir, map[string]string{"default.nix": set})
		u.git(t, up.dir, "commit", "--quiet", "--all", "--message=next")
		return u.git(t, up.dir, "rev-parse", "HEAD")
	}
	up.first = u.git(t, up.dir, "rev-parse", "HEAD")
	up.main = commit(plainSet(texts["main"]))
	up.tagged = commit(plainSet(texts["tagged"]))
	u.git(t, up.dir, "tag", "v1")
	u.git(t, up.dir, "reset", "--quiet", "--hard", up.main)
	up.pull = commit(nosy(texts["pull"], `builtins.readFile "`+shadow+`"`))
	u.git(t, up.dir, "update-ref", "refs/pull/1/head", up.pull)
	u.git(t, up.dir, "reset", "--quiet", "--hard", up.main)
	up.orphaned = commit(plainSet(texts["orphaned"]))
	u.git(t, up.dir, "reset", "--quiet", "--hard", up.main)
	for name, expression := range readings {
		u.git(t, up.dir, "checkout", "--quiet", "-b", name, "main")
		if name == "link" {
			if err := os.Symlink(shadow, filepath.Join(up.dir, "link")); err != nil {
				t.Fatal(err)
			}
			u.git(t, up.dir, "add", "link")
		}
		commit(nosy(name, strings.ReplaceAll(expression, "SHADOW", shadow)))
	}
	u.git(t, up.dir, "checkout", "--quiet", "main")
	for _, setting := range []string{"allowAnySHA1InWant", "allowTipSHA1InWant", "allowReachableSHA1InWant"} {
		u.git(t, up.dir, "config", "uploadpack."+setting, "true")
	}
	return up
}

// A stranger opens a pull request, and pulls its commit from a server of the repository. Only what the repository's own people have
// put on a branch or tag is evaluated, and evaluation sees neither files nor variables of the server.
func TestStrangersCommitIsNotEvaluated(t *testing.T) {
	u := newUser(t)
	secrets := map[string]string{"a file of the server": "shadow-" + salt(), "the server's AWS key": "aws-" + salt(), "the key of its cache": "cache-" + salt()}
	u.env = []string{"AWS_SECRET_ACCESS_KEY=" + secrets["the server's AWS key"], "NIXERY_CACHE_KEY=" + secrets["the key of its cache"]}
	shadow := filepath.Join(u.home, "shadow")
	if err := os.WriteFile(shadow, []byte("root:"+secrets["a file of the server"]), 0o600); err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, name := range []string{"first", "main", "tagged", "pull", "orphaned"} {
		texts[name] = name + "-" + salt()
	}
	up := newUpstream(t, u, texts, shadow)
	s := u.serve(t, "--pkgs-repo", "file://"+up.dir)

	// Branches, and commits that a branch or tag reaches.
	s.gives(t, "app", "main", texts["main"])
	s.gives(t, "app", "latest", texts["main"])
	s.gives(t, "app", up.main, texts["main"])
	s.gives(t, "app", up.first, texts["first"])
	s.gives(t, "app", up.tagged, texts["tagged"])

	// No other commit, under whatever name.
	for _, tag := range []string{up.pull, strings.ToUpper(up.pull), up.pull[:12], up.orphaned, strings.Repeat("0", 40), "pull", "FETCH_HEAD"} {
		s.refuses(t, "app", tag, secrets)
	}
	for _, name := range []string{"pull", "orphaned"} {
		if found := holding(t, s.depot, texts[name]); len(found) > 0 {
			t.Errorf("the %s commit was built: it is in %q", name, found)
		}
	}

	// A branch's expression does not see the server either.
	for name := range readings {
		_, said := s.pull(t, "app", name)
		unsaid(t, secrets, "the answer for "+name, said)
	}
	nowhere(t, secrets, s.depot)
}

// Builders without a sandbox read what the server's user reads: a server that builds for all who reach it does not start so, unless
// that is asked for in so many words.
func TestPublicServerWantsSandbox(t *testing.T) {
	u, dir := newUser(t), t.TempDir()
	write(t, dir, map[string]string{"default.nix": plainSet("app-" + salt())})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "serve", "--public", "--address", "127.0.0.1", "--port", "0", "--storage", t.TempDir(), "--pkgs-path", dir)
	cmd.Env = u.environ()
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil || err == nil || !strings.Contains(string(out), "--unsafe") {
		t.Errorf("a public server without a sandbox starts, or does not say why not: %v\n%s", err, out)
	}
	s := u.serve(t, "--public", "--unsafe", "--pkgs-path", dir)
	s.gives(t, "app", "latest", "app-")
}

// outside is a proxy through which the server would reach the internet. It lets nothing through, and keeps what was asked for.
type outside struct {
	mu    sync.Mutex
	hosts []string
}

func (o *outside) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hosts = append(o.hosts, q.Host)
	w.WriteHeader(http.StatusForbidden)
}

func (o *outside) asked() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.hosts)
}

// With a channel, a commit is not even asked for, unless --commits is set; then it is checked first.
func TestCommitsOfChannelAreOff(t *testing.T) {
	const stranger = "0123456789abcdef0123456789abcdef01234567"
	for name, flags := range map[string][]string{"by default": {}, "with --commits": {"--commits"}} {
		t.Run(name, func(t *testing.T) {
			world := &outside{}
			proxy := httptest.NewServer(world)
			t.Cleanup(proxy.Close)
			u := newUser(t)
			for _, variable := range []string{"http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"} {
				u.env = append(u.env, variable+"="+proxy.URL)
			}
			s := u.serve(t, append([]string{"--channel", "nixos-unstable"}, flags...)...)
			before := len(world.asked())
			status, said := s.pull(t, "app", stranger)
			asked := world.asked()[before:]
			if status == http.StatusOK {
				t.Fatalf("a commit that cannot be checked is served: %s", said)
			}
			if len(flags) == 0 && (status > 499 || len(asked) > 0) {
				t.Errorf("the answer is %d, and %q were asked; want a refusal, and none: %s", status, asked, said)
			}
			if len(flags) > 0 && len(asked) == 0 {
				t.Errorf("the answer is %d, and nothing was asked: %s", status, said)
			}
		})
	}
}

// What is allowed is allowed with one star for one word: what lies below, all of nixpkgs among it, is not.
func TestAllowedSetIsNoWayToOthers(t *testing.T) {
	u := newUser(t)
	dir, wanted, other, inner := t.TempDir(), "requests-"+salt(), "other-"+salt(), "inner-"+salt()
	write(t, dir, map[string]string{"default.nix": fmt.Sprintf(`{ system ? "x86_64-linux", ... }: let
  package = text: derivation {
    name = "package"; inherit system; PATH = "/usr/bin:/bin"; builder = "/bin/sh"; args = [ "-c" "mkdir $out; echo ${text} >$out/text" ];
  };
  all = {
    python3Packages = { requests = package "%s"; pkgs = all; inner = { tool = package "%s"; }; python = { pkgs = all.python3Packages; }; };
    other = package "%s";
  };
in all
`, wanted, inner, other)})
	s := u.serve(t, "--pkgs-path", dir, "--allow", "python3Packages.*")
	s.gives(t, "python3packages.requests", "latest", wanted)
	for _, repository := range []string{
		"other", "python3packages.pkgs.other", "python3packages.pkgs.pkgs.other", "python3packages.inner.tool", "python3packages.pkgs.python3packages.pkgs.other",
		"python3packages.python.pkgs.pkgs.other", "python3packages.requests/other", "python3packages.requests/python3packages.pkgs.other",
		"arm64/python3packages.pkgs.other", "shell/python3packages.pkgs.other",
	} {
		s.refuses(t, repository, "latest", nil)
	}
	for _, text := range []string{other, inner} {
		if found := holding(t, s.depot, text); len(found) > 0 {
			t.Errorf("what is not allowed was built: it is in %q", found)
		}
	}
}
