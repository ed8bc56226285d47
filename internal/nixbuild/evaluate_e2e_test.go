//go:build e2e

package nixbuild

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// serveTarballs serves the tiny set as a channel and as a commit.
func serveTarballs(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/tiny-channel/git-revision" {
			_, _ = io.WriteString(w, commit)
			return
		}
		if r.URL.Path != "/tiny-channel/nixexprs.tar.xz" && r.URL.Path != "/"+commit+".tar.gz" {
			http.NotFound(w, r)
			return
		}
		if err := writeTarball(w, tiny(t)); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

// writeTarball packs dir as channels are: one directory at the top.
func writeTarball(w io.Writer, dir string) error {
	zipped := gzip.NewWriter(w)
	archive := tar.NewWriter(zipped)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if err := archive.WriteHeader(&tar.Header{Name: "tiny/", Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
		return err
	}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return err
		}
		if err := archive.WriteHeader(&tar.Header{Name: "tiny/" + entry.Name(), Mode: 0o644, Size: int64(len(text))}); err != nil {
			return err
		}
		if _, err := archive.Write(text); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), zipped.Close())
}

// gitRepository has the tiny set on its branch "packages", and something else on
// the default branch and on the newest commit of "packages". It returns the URL
// and the commit that has the set.
func gitRepository(t *testing.T) (url, rev string) {
	t.Helper()
	dir := t.TempDir()
	git := Exec{Dir: dir, Env: []string{
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org"}}
	run := func(script string) string {
		out, err := git.Run(t.Context(), "sh", "-euc", script)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	run(`git init -q -b main .; echo '{}' > default.nix; git add .; git commit -q -m main; git checkout -q -b packages`)
	run(`cp ` + tiny(t) + `/*.nix .; git add .; git commit -q -m packages; git tag v1`)
	rev = run(`git rev-parse HEAD`)
	run(`echo '{ old = true; }' > default.nix; git commit -q -a -m newer; git branch -q newer; git reset -q --hard v1; git checkout -q main`)
	return serveGit(t, dir, run("git --exec-path")) + "/.git", rev
}

// serveGit serves a repository as a forge does: Nix reads local ones in place.
func serveGit(t *testing.T, dir, programs string) string {
	t.Helper()
	server := httptest.NewServer(&cgi.Handler{
		Path: filepath.Join(programs, "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1"},
	})
	t.Cleanup(server.Close)
	return server.URL
}

func TestSources(t *testing.T) {
	server := serveTarballs(t)
	url, rev := gitRepository(t)
	sources := map[string]Source{
		"channel":     {Channel: "tiny-channel", ChannelBase: server.URL},
		"commit":      {Channel: commit, ArchiveBase: server.URL},
		"git branch":  {Git: &Git{URL: url, Ref: "packages"}},
		"git tag":     {Git: &Git{URL: url, Ref: "refs/tags/v1"}},
		"git rev":     {Git: &Git{URL: url, Rev: rev}},
		"git ref rev": {Git: &Git{URL: url, Ref: "newer", Rev: rev}},
		"file":        {Path: filepath.Join(tiny(t), "default.nix")},
		"flake":       {Flake: "path:" + tiny(t)},
	}
	eachNix(t, func(t *testing.T, nix Exec) {
		wants := onSystems(both, "app", "python3Packages.requests", "outputs")
		want := mustEvaluate(t, nix, Source{Path: tiny(t)}, wants)
		for name, src := range sources {
			// With a cache of its own each: one must not profit from another's fetch.
			got, _, err := Evaluate(t.Context(), nixHere(t, foreign), src, wants)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if !slices.Equal(got, want) {
				t.Errorf("%s: %v, not %v", name, got, want)
			}
		}
	})
}

// A source that was pinned has the same packages, whatever becomes of the branch.
func TestPinnedSources(t *testing.T) {
	server := serveTarballs(t)
	url, rev := gitRepository(t)
	sources := map[string]Source{
		"channel":    {Channel: "tiny-channel", ChannelBase: server.URL, ArchiveBase: server.URL},
		"git branch": {Git: &Git{URL: url, Ref: "packages"}},
		"git tag":    {Git: &Git{URL: url, Ref: "refs/tags/v1"}},
		"git rev":    {Git: &Git{URL: url, Rev: rev}},
		"path":       {Path: tiny(t)},
		"flake":      {Flake: "path:" + tiny(t)},
		"git flake":  {Flake: "git+" + url + "?ref=packages"},
	}
	eachNix(t, func(t *testing.T, nix Exec) {
		wants := onSystems(both, "app")
		want := mustEvaluate(t, nix, Source{Path: tiny(t)}, wants)
		for name, src := range sources {
			here := nixHere(t, foreign)
			fixed, first, err := Pin(t.Context(), here, src)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if src.Git != nil && fixed.Git.Rev != rev {
				t.Errorf("%s: at %v, not %s", name, fixed.Git, rev)
			}
			got, _, err := Evaluate(t.Context(), here, fixed, wants)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: %v, not %v (%v)", name, got, want, err)
			}
			if _, again, err := Pin(t.Context(), here, fixed); err != nil || again != first {
				t.Errorf("%s: pinned again %v, not %v (%v)", name, again, first, err)
			}
		}
	})
}

func TestSourceFailures(t *testing.T) {
	server := serveTarballs(t)
	url, _ := gitRepository(t)
	eachNix(t, func(t *testing.T, nix Exec) {
		for name, tt := range map[string]struct {
			src  Source
			want string
		}{
			"no such path":     {Source{Path: "/no/such/path"}, "/no/such/path"},
			"no such channel":  {Source{Channel: "tiny-channel", ChannelBase: server.URL + "/else"}, "404"},
			"no such branch":   {Source{Git: &Git{URL: url, Ref: "nothing"}}, "fatal: couldn't find remote ref refs/heads/nothing"},
			"no such flake":    {Source{Flake: "path:/no/such/flake"}, "/no/such/flake"},
			"syntax":           {Source{Path: expression(t, "{ a = 1")}, "syntax error"},
			"throws":           {Source{Path: expression(t, `throw "moved to example.org"`)}, "moved to example.org"},
			"no set":           {Source{Path: expression(t, "[ 1 ]")}, "the package set is a list, not a set of packages"},
			"overlay":          {Source{Path: expression(t, "self: super: { }")}, "the package set is a lambda"},
			"argument":         {Source{Path: expression(t, "{ system, pkgs }: { }")}, "the package set wants the argument pkgs"},
			"config refused":   {Source{Path: expression(t, "{ system }: { }"), Config: map[string]any{"a": 1}}, "does not take config"},
			"overlays refused": {Source{Path: expression(t, "{ }"), Overlays: []string{"/x.nix"}}, "does not take overlays"},
			"flake and config": {Source{Flake: "path:" + tiny(t), Config: map[string]any{"a": 1}}, "does not take config"},
			"flake's systems":  {Source{Flake: "path:" + tiny(t)}, "the flake has packages for aarch64-linux, x86_64-linux, not for riscv64-linux"},
		} {
			systems := both
			if name == "flake's systems" {
				systems = []string{"riscv64-linux"}
			}
			_, _, err := Evaluate(t.Context(), nix, tt.src, onSystems(systems, "app"))
			var source *SourceError
			if !errors.As(err, &source) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: error is %v", name, err)
			}
		}
	})
}

// A package set may be any value or function; it gets what it takes.
func TestKindsOfPackageSets(t *testing.T) {
	body := `{ app = derivation { name = "app"; system = s; builder = "/bin/sh"; }; }`
	eachNix(t, func(t *testing.T, nix Exec) {
		want := mustEvaluate(t, nix, Source{Path: expression(t, "{ system }: let s = system; in "+body)}, onSystems(both, "app"))
		for _, function := range []string{
			"args: let s = args.system; in ",
			"{ system, ... }: let s = system; in ",
			"{ ... }@args: let s = args.system; in ",
			`{ system ? "none", unknown ? 1 }: let s = system; in `,
			"{ config, overlays, system }: let s = system; in assert config == { } && overlays == [ ]; ",
		} {
			got, _, err := Evaluate(t.Context(), nix, Source{Path: expression(t, function+body)}, onSystems(both, "app"))
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: %v, %v", function, got, err)
			}
		}
		plain := Source{Path: expression(t, `let s = "`+native+`"; in `+body)}
		mustEvaluate(t, nix, plain, onSystems([]string{native}, "app"))
	})
}

func TestConfigAndOverlays(t *testing.T) {
	eachNix(t, func(t *testing.T, nix Exec) {
		overlay := expression(t, `self: super: { mine = super.app // { name = "mine"; }; app = super.hello; }`)
		src := Source{Path: tiny(t), Config: map[string]any{"allowUnfree": true}, Overlays: []string{overlay}}
		packages := mustEvaluate(t, nix, src, onSystems(both, "unfree", "mine", "app"))
		if packages[0].Out.Name() != "tiny-unfree-1.0" || packages[1].Out.Name() != "tiny-app-2.0" || packages[2].Out.Name() != "tiny-hello-1.0" {
			t.Errorf("packages are %v", packages)
		}
	})
}

func TestSpellings(t *testing.T) {
	spellings := map[string]string{
		"app": "tiny-app-2.0", "APP": "tiny-app-2.0", "sdl": "tiny-SDL-1.2", "bashinteractive": "tiny-bash-interactive-5.3",
		"7zz": "tiny-7zz-25.01", "_7zz": "tiny-7zz-25.01", "7ZZ": "tiny-7zz-25.01",
		"python3packages.requests": "tiny-requests-2.32", "iana-etc": "tiny-iana-etc-20250505",
		"outputs": "tiny-outputs-1.0-bin", "outputs.dev": "tiny-outputs-1.0-dev",
	}
	eachNix(t, func(t *testing.T, nix Exec) {
		for _, system := range both {
			for name, want := range spellings {
				got := mustEvaluate(t, nix, Source{Path: tiny(t)}, onSystems([]string{system}, name))
				if got[0].Out.Name() != want || got[0].Name != name || got[0].System != system {
					t.Errorf("%s: %v", name, got)
				}
			}
		}
	})
}

func TestEveryReason(t *testing.T) {
	evil := `x"; abort "pwned"; "`
	reasons := map[string]Failure{
		"ap":                       {Reason: NotFound, Near: []string{"app"}},
		"python3Packages.reqests":  {Reason: NotFound, Near: []string{"python3Packages.requests"}},
		"python3Packages.Requests": {Reason: NotFound, Near: []string{"python3Packages.requests"}},
		"":                         {Reason: NotFound},
		"app..x":                   {Reason: NotFound},
		evil:                       {Reason: NotFound},
		"unfree":                   {Reason: Unfree, Message: "Tiny Proprietary License"},
		"needsUnfree":              {Reason: Unfree, Message: "Package ‘tiny-unfree-1.0’ in /tiny/default.nix:1 has an unfree license (‘tiny’), refusing to evaluate."},
		"broken":                   {Reason: Broken},
		"insecure":                 {Reason: Insecure, Message: "CVE-1999-0001, CVE-1999-0002"},
		"onlyX86":                  {Reason: Unsupported, Message: "only for x86_64-linux"},
		"alwaysX86":                {Reason: Unsupported, Message: "its derivation is for x86_64-linux"},
		"python3Packages":          {Reason: NotDerivation, Message: "set"},
		"withPackages":             {Reason: NotDerivation, Message: "lambda"},
		"throws":                   {Reason: Failed, Message: "tiny.throws was removed: use tiny.app instead"},
		"aborts":                   {Reason: Failed, Message: "evaluation aborted with the following error message: 'tiny.aborts gives up'"},
	}
	eachNix(t, func(t *testing.T, nix Exec) {
		var names []string
		for name := range reasons {
			names = append(names, name)
		}
		wants := append(onSystems([]string{"aarch64-linux"}, append(names, "app")...), Want{Name: "cacerts", System: "aarch64-linux", Optional: true})
		_, _, err := Evaluate(t.Context(), nix, Source{Path: tiny(t)}, wants)
		var failed *EvaluationError
		if !errors.As(err, &failed) || len(failed.Failures) != len(reasons) {
			t.Fatalf("error is %v", err)
		}
		for _, got := range failed.Failures {
			want := reasons[got.Name]
			want.Name, want.System = got.Name, "aarch64-linux"
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%q: %+v", got.Name, got)
			}
		}
		if strings.Contains(err.Error(), "pwned'") {
			t.Errorf("a name was evaluated: %v", err)
		}
	})
}

func TestOptionalPackagesMayBeAbsent(t *testing.T) {
	eachNix(t, func(t *testing.T, nix Exec) {
		src := Source{Path: expression(t, `{ system }: { app = derivation { name = "app"; inherit system; builder = "/bin/sh"; }; cacert = throw "broken"; }`)}
		wants := []Want{{Name: "iana-etc", System: native, Optional: true}, {Name: "app", System: native}}
		packages, absent, err := Evaluate(t.Context(), nix, src, wants)
		if err != nil || len(packages) != 1 || !slices.Equal(absent, wants[:1]) {
			t.Errorf("%v, %v, %v", packages, absent, err)
		}
		_, _, err = Evaluate(t.Context(), nix, src, []Want{{Name: "cacert", System: native, Optional: true}})
		var failed *EvaluationError
		if !errors.As(err, &failed) || failed.Failures[0].Reason != Failed {
			t.Errorf("an optional package that is there and broken: %v", err)
		}
	})
}
