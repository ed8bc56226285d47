package nixbuild

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const otherCommit = "89abcdef0123456789abcdef0123456789abcdef"

// noProcess is a runner for what must not run anything.
func noProcess(t *testing.T) *fakeRunner {
	return &fakeRunner{answer: func(args []string) ([]byte, error) {
		t.Errorf("%q was run", args)
		return nil, errors.New("no")
	}}
}

func saying(text string) *fakeRunner {
	return &fakeRunner{answer: func([]string) ([]byte, error) { return []byte(text), nil }}
}

func pin(t *testing.T, r Runner, src Source) (Source, Pinned) {
	t.Helper()
	fixed, pinned, err := Pin(t.Context(), r, src)
	if err != nil {
		t.Fatal(err)
	}
	if len(pinned.Key) != 64 {
		t.Errorf("key %q", pinned.Key)
	}
	return fixed, pinned
}

// A channel stands for its commit: the source, name and key are those of a spec that says so itself.
func TestPinChannel(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch asked++; r.URL.Path {
		case "/nixos-25.11/git-revision":
			http.Redirect(w, r, "/release/git-revision", http.StatusFound)
		case "/release/git-revision":
			fmt.Fprintln(w, otherCommit)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	fixed, pinned := pin(t, noProcess(t), Source{Channel: "nixos-25.11", ChannelBase: server.URL})
	byCommit, same := pin(t, noProcess(t), Source{Channel: otherCommit, ChannelBase: server.URL})
	if diff := cmp.Diff(byCommit, fixed); diff != "" || pinned != same || asked != 2 {
		t.Errorf("after %d requests %v, of the commit %v\n%s", asked, pinned, same, diff)
	}
	if pinned.Name != "nixpkgs commit "+otherCommit {
		t.Errorf("name %q", pinned.Name)
	}
	_, _, err := Pin(t.Context(), noProcess(t), Source{Channel: "nixos-0", ChannelBase: server.URL})
	if _, ok := errors.AsType[*SourceError](err); !ok {
		t.Fatalf("got %v", err)
	}
	mustContain(t, err.Error(), "channel nixos-0", "404")
}

// Tests do not wait for a channel.
func init() { channelRetry.First = time.Millisecond }

func TestPinChannelBadAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answers []string // one for each request, "" for status 500
		commit  bool
	}{
		"in the end":  {[]string{"", "", otherCommit}, true},
		"down":        {[]string{"", "", "", otherCommit}, false},
		"a page":      {[]string{"<html>", otherCommit}, false},
		"long":        {[]string{otherCommit + strings.Repeat(" ", 30) + "x"}, false},
		"upper case":  {[]string{strings.ToUpper(otherCommit)}, false},
		"no new line": {[]string{otherCommit}, true},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				answer := c.answers[0]
				if c.answers = c.answers[1:]; answer == "" {
					w.WriteHeader(http.StatusInternalServerError)
				}
				fmt.Fprint(w, answer)
			}))
			t.Cleanup(server.Close)
			_, _, err := Pin(t.Context(), noProcess(t), Source{Channel: "c", ChannelBase: server.URL})
			if (err == nil) != c.commit {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestPinGit(t *testing.T) {
	for name, c := range map[string]struct{ ref, listing, wantRef string }{
		"branch": {"main", commit + "\trefs/heads/x/refs/heads/main\n" + otherCommit + "\trefs/heads/main\n", "refs/heads/main"},
		"head":   {"", "ref: refs/heads/main\tHEAD\n" + otherCommit + "\tHEAD\n", "refs/heads/main"},
		"tag":    {"refs/tags/v1", commit + "\trefs/tags/v1\n" + otherCommit + "\trefs/tags/v1^{}\n", "refs/tags/v1"},
	} {
		t.Run(name, func(t *testing.T) {
			git := saying(c.listing)
			fixed, pinned := pin(t, git, Source{Git: &Git{URL: "https://x/y.git", Ref: c.ref}})
			if diff := cmp.Diff(&Git{URL: "https://x/y.git", Ref: c.wantRef, Rev: otherCommit}, fixed.Git); diff != "" {
				t.Error(diff)
			}
			if len(git.calls) != 1 || strings.Join(git.calls[0][:5], " ") != "git ls-remote --symref -- https://x/y.git" {
				t.Errorf("calls %q", git.calls)
			}
			if _, byRev := pin(t, noProcess(t), Source{Git: &Git{URL: "https://x/y.git", Rev: otherCommit}}); byRev != pinned {
				t.Errorf("%v, of the revision %v", pinned, byRev)
			}
		})
	}
}

func TestPinGitFaults(t *testing.T) {
	src := Source{Git: &Git{URL: "https://u:hunter2@x/y.git", Ref: "main"}}
	for name, r := range map[string]*fakeRunner{
		"no such repository": {answer: func([]string) ([]byte, error) {
			return nil, &ExitError{Program: "git", Status: "exit status 128", Stderr: []string{"fatal: 'https://u:hunter2@x/y.git' not found"}}
		}},
		"no such branch": saying(otherCommit + "\trefs/heads/x/refs/heads/main\n"),
		"no commit":      saying("hello\trefs/heads/main\n"),
	} {
		_, _, err := Pin(t.Context(), r, src)
		if _, ok := errors.AsType[*SourceError](err); !ok || strings.Contains(fmt.Sprint(err), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, _, err := Pin(t.Context(), Exec{Env: []string{"PATH=/none"}}, Source{Git: &Git{URL: "file:///no/such", Ref: "main"}})
	if err == nil || errors.Is(err, ErrUnpinned) {
		t.Errorf("got %v", err)
	}
}

func TestGitIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, _, err := Pin(t.Context(), Exec{}, Source{Git: &Git{URL: "file:///x", Ref: "main"}})
	if err == nil || errors.Is(err, ErrNoNix) {
		t.Fatalf("got %v", err)
	}
	mustContain(t, err.Error(), "git repository file:///x at main", "install it, or give a rev")
}

// metadata is what Nix 2.8 prints of a flake, without what does not matter here.
func metadata(url, locked, locks string) string {
	return fmt.Sprintf(`{"description":"d","locked":{%s},"locks":%s,"original":{},"url":%q}`, locked, locks, url)
}

func TestPinFlake(t *testing.T) {
	const locked, locks = "github:a/b/" + otherCommit, `{"nodes": {"root": {}}, "root": "root", "version": 7}`
	nix := saying(metadata(locked, `"rev":"`+otherCommit+`"`, locks))
	fixed, first := pin(t, nix, Source{Flake: "github:a/b"})
	if fixed.Flake != locked || first.Name != "flake "+locked || nix.calls[0][0] != "nix" {
		t.Errorf("%v, %v by %q", fixed, first, nix.calls)
	}
	for name, other := range map[string]string{
		"input moved": metadata(locked, `"rev":"`+otherCommit+`"`, strings.Replace(locks, "{}", `{"x":1}`, 1)),
		"flake moved": metadata("github:a/b/"+commit, `"rev":"`+commit+`"`, locks),
		"a directory": metadata("path:/x?narHash=sha256-x", `"narHash":"sha256-x"`, locks),
	} {
		if _, second := pin(t, saying(other), Source{Flake: "github:a/b"}); second.Key == first.Key {
			t.Errorf("%s: the key is the same", name)
		}
	}
	for name, other := range map[string]string{
		"dirty": metadata("git+file:///x", `"narHash":"sha256-x"`, locks), "nothing": "{}", "no JSON": "hello",
	} {
		if _, _, err := Pin(t.Context(), saying(other), Source{Flake: "git+file:///x"}); !errors.Is(err, ErrUnpinned) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// write makes files of names and contents; one that ends in * is executable.
func write(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		mode := os.FileMode(0o644)
		if strings.HasSuffix(name, "*") {
			mode = 0o755
		}
		file := filepath.Join(dir, strings.TrimSuffix(name, "*"))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), mode), os.Chmod(file, mode)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func keyOf(t *testing.T, src Source) string {
	t.Helper()
	_, pinned := pin(t, noProcess(t), src)
	return pinned.Key
}

// Whatever changes in a source, the key does, and changes back with it.
func TestKeyOfPath(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"pkgs/default.nix": "{}", "pkgs/sub/b": "text", "overlays/o.nix": "a: b: { }", "overlays/p.nix": "import ./q.nix", "overlays/q.nix": "c: d: { }"})
	in := func(name string) string { return filepath.Join(dir, name) }
	src := Source{Path: in("pkgs"), Config: map[string]any{"allowUnfree": true}, Overlays: []string{in("overlays/o.nix"), in("overlays/p.nix")}}
	first := keyOf(t, src)
	do := func(errs ...error) {
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	for name, change := range map[string][2]func(){
		"a byte":      {func() { write(t, dir, map[string]string{"pkgs/sub/b": "texT"}) }, func() { write(t, dir, map[string]string{"pkgs/sub/b": "text"}) }},
		"mode":        {func() { do(os.Chmod(in("pkgs/sub/b"), 0o755)) }, func() { do(os.Chmod(in("pkgs/sub/b"), 0o644)) }},
		"name":        {func() { do(os.Rename(in("pkgs/sub/b"), in("pkgs/sub/c"))) }, func() { do(os.Rename(in("pkgs/sub/c"), in("pkgs/sub/b"))) }},
		"hidden":      {func() { write(t, dir, map[string]string{"pkgs/.x/x": ""}) }, func() { do(os.RemoveAll(in("pkgs/.x"))) }},
		"directory":   {func() { do(os.Mkdir(in("pkgs/new"), 0o755)) }, func() { do(os.Remove(in("pkgs/new"))) }},
		"link":        {func() { do(os.Symlink("sub/b", in("pkgs/l"))) }, func() { do(os.Remove(in("pkgs/l"))) }},
		"overlay":     {func() { write(t, dir, map[string]string{"overlays/o.nix": "a: b: {  }"}) }, func() { write(t, dir, map[string]string{"overlays/o.nix": "a: b: { }"}) }},
		"its import":  {func() { write(t, dir, map[string]string{"overlays/q.nix": "c: d: {  }"}) }, func() { write(t, dir, map[string]string{"overlays/q.nix": "c: d: { }"}) }},
		"config":      {func() { src.Config["allowUnfree"] = false }, func() { src.Config["allowUnfree"] = true }},
		"order":       {func() { swap(src.Overlays) }, func() { swap(src.Overlays) }},
		"no overlays": {func() { src.Overlays = src.Overlays[:0] }, func() { src.Overlays = src.Overlays[:2] }},
	} {
		change[0]()
		if keyOf(t, src) == first {
			t.Errorf("%s: the key is the same", name)
		}
		change[1]()
		if keyOf(t, src) != first {
			t.Fatalf("%s: changed back, the key is another", name)
		}
	}
}

func swap(s []string) { s[0], s[1] = s[1], s[0] }

// A link's target is part of the key, and so is which of two files a source is.
func TestKeyTellsApart(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"a.nix": "import ./b.nix", "b.nix": "import ./a.nix", "x": "", "y": ""})
	key := map[string]string{}
	for _, target := range []string{"x", "y", "nowhere"} {
		relink(t, target, filepath.Join(dir, "link"))
		key["a link to "+target] = keyOf(t, Source{Path: dir})
	}
	source := filepath.Join(t.TempDir(), "source.nix")
	for _, name := range []string{"a.nix", "b.nix"} {
		key[name] = keyOf(t, Source{Path: filepath.Join(dir, name)})
		relink(t, filepath.Join(dir, name), source)
		key["by a link, "+name] = keyOf(t, Source{Path: source})
	}
	seen := map[string]string{}
	for what, k := range key {
		if seen[k] != "" {
			t.Errorf("%s has the key of %s", what, seen[k])
		}
		seen[k] = what
	}
}

func relink(t *testing.T, target, link string) {
	t.Helper()
	_ = os.Remove(link)
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
}

// An expression that may depend on what the key is not of has no key; one that only looks so in a builder's script does.
func TestUnpinned(t *testing.T) {
	dir := write(t, t.TempDir(), map[string]string{"outside.nix": "{}", "deep/er/x": "", "program*": ""})
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"parent":        {`import ../outside.nix`, false},
		"roundabout":    {`import ./../outside.nix`, false},
		"in a string":   {`./. + "/../outside.nix"`, false},
		"whole parent":  {`import ./..`, false},
		"NIX_PATH":      {`import <nixpkgs> { }`, false},
		"below it":      {`import <nixpkgs/lib>`, false},
		"environment":   {`builtins.getEnv "HOME"`, false},
		"time":          {`builtins.currentTime`, false},
		"nothing there": {`args = [ "ln -s ../libexec/x y" ];`, true},
		"inside":        {`import ./sub/../default.nix`, true},
		"from the root": {`import ` + dir + `/outside.nix`, false},
		"root, string":  {`import (/. + "` + dir + `/outside.nix")`, false},
		"read":          {`import "` + dir + `/outside.nix"`, false},
		"a script's":    {`"mkdir -p $out; ln -s /bin/sh $out/sh; grep x /etc/passwd; cat /nowhere/at/all"`, true},
		"quoted":        {`builder = "/bin/sh"; x = "` + dir + `/outside.nix";`, true},
		"ellipsis":      {`{ lib, ... }: a < b && c > d`, true},
	} {
		pkgs := write(t, filepath.Join(dir, "pkgs"), map[string]string{"default.nix": c.text, "sub/x": ""})
		_, _, err := Pin(t.Context(), noProcess(t), Source{Path: pkgs})
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrUnpinned) {
			t.Errorf("%s: %v", name, err)
		}
	}
	write(t, filepath.Join(dir, "pkgs"), map[string]string{"default.nix": "{}"})
	if err := os.Symlink("../deep", filepath.Join(dir, "pkgs", "l")); err != nil {
		t.Fatal(err)
	}
	for _, src := range []Source{{Path: filepath.Join(dir, "pkgs")}, {Path: filepath.Join(dir, "none")}, {Path: dir, Overlays: []string{"/no/such.nix"}}} {
		if _, _, err := Pin(t.Context(), noProcess(t), src); !errors.Is(err, ErrUnpinned) {
			t.Errorf("%v: %v", src, err)
		}
	}
}

func TestPinIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	for _, src := range []Source{{Path: t.TempDir()}, {Channel: "c", ChannelBase: "http://127.0.0.1:1"}} {
		if _, _, err := Pin(ctx, noProcess(t), src); !errors.Is(err, cause) {
			t.Errorf("%v: %v", src, err)
		}
	}
}
