//go:build e2e

package nixbuild

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// strangers is a git repository whose expressions try all that a stranger may try.
const strangers = `{ system ? builtins.currentSystem }:
let p = name: text: derivation { inherit name system; builder = "/bin/sh"; args = [ "-c" "echo ${text} >$out" ]; }; in
{
  innocent = p "innocent" "${./default.nix}";
  shadow = p "shadow" (builtins.readFile /etc/shadow);
  inStore = p "inStore" "${/etc/passwd}";
  asPath = p "asPath" "${builtins.path { path = /etc/passwd; name = "p"; }}";
  listed = p "listed" (toString (builtins.attrNames (builtins.readDir PLANTED)));
  planted = p "planted" (builtins.readFile PLANTED/secret);
  found = p "found" (builtins.readFile <planted/secret>);
  tarball = p "tarball" (builtins.fetchTarball "file://PLANTED");
  url = p "url" (builtins.fetchurl "http://169.254.169.254/latest/meta-data/");
  repository = p "repository" (toString (builtins.fetchGit { url = "PLANTED"; }));
  flake = p "flake" (toString (builtins.getFlake "path:PLANTED"));
  tree = p "tree" (toString (builtins.fetchTree { type = "path"; path = "PLANTED"; }));
  built = p "built" (builtins.readFile (p "inner" "x"));
  program = p "program" (builtins.exec [ "/bin/sh" "-c" "echo 1" ]);
  env = p "env" "seen:${builtins.getEnv "PLANTED_SECRET"}";
  there = p "there" "seen:${toString (builtins.tryEval (builtins.pathExists PLANTED/secret)).value}";
  text = p "text" (builtins.foldl' (a: b: a + a) "xxxxxxxxxxxxxxxx" (builtins.genList (x: x) 40));
  list = p "list" (toString (builtins.length (builtins.genList (x: x) 4000000000)));
  loop = p "loop" (toString (builtins.foldl' (a: b: a + b) 0 (builtins.concatMap (x: builtins.genList (y: y) 100000) (builtins.genList (x: x) 1000000))));
  busy = p "busy" (let fib = n: if n < 2 then n else fib (n - 1) + fib (n - 2); in toString (fib 60));
}
`

func strangersRepository(t *testing.T, nix Exec) (src Source, planted string) {
	t.Helper()
	repository, planted := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		filepath.Join(planted, "secret"):         "hunter2",
		filepath.Join(planted, "flake.nix"):      "{ outputs = _: { }; }",
		filepath.Join(repository, "default.nix"): strings.ReplaceAll(strangers, "PLANTED/", planted+"/"),
	} {
		if err := os.WriteFile(name, []byte(strings.ReplaceAll(text, "PLANTED\"", planted+"\"")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expression := filepath.Join(repository, "default.nix")
	text, err := os.ReadFile(expression)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(expression, []byte(strings.ReplaceAll(string(text), "readDir PLANTED", "readDir "+planted)), 0o600); err != nil {
		t.Fatal(err)
	}
	git := func(args ...string) string {
		nix.Dir = repository
		out, err := nix.Run(t.Context(), append([]string{"git", "-c", "user.name=a", "-c", "user.email=a@example.org"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q", "-b", "main")
	git("add", ".")
	git("commit", "-q", "-m", "one")
	return Source{Git: &Git{URL: "file://" + repository, Ref: "refs/heads/main", Rev: git("rev-parse", "HEAD")}}, planted
}

// An expression of a stranger gets at nothing: neither files, environment, search path, network nor builders.
func TestStrangersAreConfined(t *testing.T) {
	eachNix(t, func(t *testing.T, nix Exec) {
		src, planted := strangersRepository(t, nix)
		nix.Env = append(nix.Env, "PLANTED_SECRET=hunter2", "NIX_PATH=planted="+planted,
			nix.Env[0]+"\nexperimental-features = nix-command flakes\nallow-unsafe-native-code-during-evaluation = true\nallowed-uris = http: file: path: git+file:\n")
		c := Confinement{Restrict: true}
		free := mustEvaluate(t, nix, src, onSystems([]string{native}, "innocent"))
		held, _, err := c.Evaluate(t.Context(), nix, src, onSystems([]string{native}, "innocent", "env", "there"))
		if err != nil {
			t.Fatal(err)
		}
		if held[0] != free[0] {
			t.Errorf("restricted mode gives another package: %v, not %v", held[0], free[0])
		}
		for _, p := range held[1:] {
			text, err := os.ReadFile(string(p.Drv))
			if err != nil || !strings.Contains(string(text), "seen: ") {
				t.Errorf("%s sees the machine: %s (%v)", p.Name, text, err)
			}
		}
		for _, name := range []string{"shadow", "inStore", "asPath", "listed", "planted", "found", "tarball", "url", "repository", "flake", "tree", "built", "program"} {
			_, _, err := c.Evaluate(t.Context(), nix, src, onSystems([]string{native}, name))
			failed, ok := errors.AsType[*EvaluationError](err)
			if !ok || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: error is %v", name, err)
				continue
			}
			t.Logf("%s: %s", name, failed.Failures[0].Message)
		}
		// What is allowed besides may be read.
		c.Allow = []string{planted}
		if _, _, err := c.Evaluate(t.Context(), nix, src, onSystems([]string{native}, "planted", "listed")); err != nil {
			t.Error(err)
		}
		c = Confinement{Restrict: true, ImportFromDerivation: true}
		if _, _, err := c.Evaluate(t.Context(), nix, src, onSystems([]string{native}, "built")); err != nil {
			t.Error(err)
		}
	})
}

// What takes too much of the machine is ended, and one run of Nix tells.
func TestBoundsHold(t *testing.T) {
	eachNix(t, func(t *testing.T, nix Exec) {
		src, _ := strangersRepository(t, nix)
		c := Confinement{Restrict: true, Bounds: Bounds{Memory: 1 << 30, CPU: 4 * time.Second}}
		if _, _, err := c.Evaluate(t.Context(), nix, src, onSystems([]string{native}, "innocent")); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{"text": "memory", "list": "memory", "loop": "memory", "busy": "processor time"} {
			_, _, err := c.Evaluate(t.Context(), AtMost(nix, 2), src, onSystems([]string{native}, name))
			if limit, ok := errors.AsType[*LimitError](err); !ok || limit.What != want {
				t.Errorf("%s: error is %v, want one of %s", name, err, want)
			}
		}
	})
}

// A source may contain repositories, whose settings name programs: a restricted evaluation runs neither git nor hg on them.
func TestConfinedRunsNoPrograms(t *testing.T) {
	eachNix(t, func(t *testing.T, nix Exec) {
		src, marks := t.TempDir(), t.TempDir()
		bin := t.TempDir()
		for _, program := range []string{"git", "hg"} {
			text := "#!/bin/sh\n: >" + filepath.Join(marks, program) + "\nenv >" + filepath.Join(marks, program) + ".env\nexit 1\n"
			if err := os.WriteFile(filepath.Join(bin, program), []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
		expressions := `{ system ? builtins.currentSystem }:
let p = name: text: derivation { inherit name system; builder = "/bin/sh"; args = [ "-c" "echo ${toString text} >$out" ]; }; in {
  innocent = p "innocent" "x";
  path = p "path" (builtins.fetchGit ./repository);
  ref = p "ref" (builtins.fetchGit { url = toString ./repository; ref = "main"; });
  rev = p "rev" (builtins.fetchGit { url = "file://${toString ./repository}"; rev = "5d37abbbbddcdd59be3c5ae4f14431af53687785"; });
  hg = p "hg" (builtins.fetchMercurial (toString ./repository));
  hgPath = p "hgPath" (builtins.fetchMercurial { url = ./repository; });
}`
		for name, text := range map[string]string{
			"default.nix": expressions, "repository/HEAD": "ref: refs/heads/main\n", "repository/config": "", "repository/.hg/hgrc": "",
		} {
			file := filepath.Join(src, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"path", "ref", "rev", "hg", "hgPath"} {
			_, _, err := Confinement{Restrict: true}.Evaluate(t.Context(), nix, Source{Path: src}, onSystems([]string{native}, name))
			if _, ok := errors.AsType[*EvaluationError](err); !ok {
				t.Errorf("%s: error is %v", name, err)
			}
		}
		if ran, err := os.ReadDir(marks); err != nil || len(ran) > 0 {
			t.Errorf("ran %v (%v)", ran, err)
		}
		if _, _, err := (Confinement{Restrict: true}).Evaluate(t.Context(), nix, Source{Path: src}, onSystems([]string{native}, "innocent")); err != nil {
			t.Error(err)
		}
		// Where addresses may be fetched, programs run, and heed no settings of what they find in the source.
		open := Confinement{Restrict: true, Allow: []string{"https://example.org/"}}
		if _, _, err := open.Evaluate(t.Context(), nix, Source{Path: src}, onSystems([]string{native}, "hg")); err == nil {
			t.Error("hg is no failure")
		}
		env, err := os.ReadFile(filepath.Join(marks, "hg.env"))
		for _, want := range []string{"HGRCSKIPREPO=1\n", "GIT_CONFIG_VALUE_0=explicit\n"} {
			if err != nil || !strings.Contains(string(env), want) {
				t.Errorf("hg got no %q (%v)", want, err)
			}
		}
	})
}
