//go:build e2e

package nixbuild

import (
	"errors"
	"github.com/org/nixery-action/internal/nix"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	authorization = "AUTHORIZATION: basic c2VjcmV0LW9mLXRoZS1qb2I="
	ignoredSecret = "PASSWORD=hunter2-of-dotenv"
	untracked     = "a note that git does not have"
)

// A package whose source is all of its directory.
const (
	packageNix  = `{ system }: { x = derivation { name = "x"; inherit system; builder = "/bin/sh"; src = ./.; args = [ "-c" ": > $out" ]; }; }`
	wholeFlake  = `{ outputs = { self }: { packages = builtins.listToAttrs (map (system: { name = system; value = import ./. { inherit system; }; }) [ "x86_64-linux" "aarch64-linux" ]); }; }`
	inputsFlake = `{
  inputs.dep.url = "path:DEP";
  outputs = { self, dep }: { packages = builtins.listToAttrs (map (system: { name = system; value = {
    x = derivation { name = "x"; inherit system dep; from = "${self} ${toString self.lastModified}"; builder = "/bin/sh"; src = ./.; args = [ "-c" ": > $out" ]; };
  }; }) [ "x86_64-linux" "aarch64-linux" ]); };
}`
)

// in runs a script in dir, as a user with a home of their own.
func in(t *testing.T, r Exec, dir, script string) string {
	t.Helper()
	r.Dir = dir
	r.Env = append(slices.Clone(r.Env), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org",
		"GIT_AUTHOR_DATE=2024-01-01T00:00:00Z", "GIT_COMMITTER_DATE=2024-01-01T00:00:00Z", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=protocol.file.allow", "GIT_CONFIG_VALUE_0=always")
	out, err := r.Run(t.Context(), "sh", "-euc", script)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// plant makes a repository of files, beside which lie what a job leaves in a
// checkout: its token, a file that git ignores and one that git does not have.
func plant(t *testing.T, r Exec, files map[string]string) string {
	t.Helper()
	dir := write(t, filepath.Join(realTemp(t), "checkout"), files)
	write(t, dir, map[string]string{".gitignore": ".env\n"})
	in(t, r, dir, "git init -q -b main .; git add .; git commit -q -m first")
	litter(t, r, dir)
	return dir
}

func litter(t *testing.T, r Exec, dir string) {
	t.Helper()
	in(t, r, dir, "git config http.https://github.com/.extraheader '"+authorization+"'")
	write(t, dir, map[string]string{".env": ignoredSecret, "note": untracked})
}

func realTemp(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// evaluated is the package x of a source that was pinned, if it can be.
func evaluated(t *testing.T, r Runner, src Source) (Package, Pinned) {
	t.Helper()
	fixed, pinned, err := Pin(t.Context(), r, src)
	if err != nil && !errors.Is(err, ErrUnpinned) {
		t.Fatal(err)
	}
	x := mustEvaluate(t, r, fixed, onSystems([]string{native}, "x"))[0]
	return x, pinned
}

// sourceFiles lists the files of what a derivation takes from the store, and
// finds secrets in them.
func sourceFiles(t *testing.T, r Exec, drv nix.StorePath) []string {
	t.Helper()
	var files []string
	for _, root := range strings.Fields(in(t, r, "/", "nix-store --query --references "+string(drv))) {
		if strings.HasSuffix(root, ".drv") {
			continue
		}
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(name)
			for _, secret := range []string{authorization, ignoredSecret} {
				if strings.Contains(string(text), secret) {
					t.Errorf("%s has %q", name, secret)
				}
			}
			files = append(files, strings.TrimPrefix(name, root+"/"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// Whatever the state of a checkout, a flake in it is what `nix build` takes there.
func TestFlakeInACheckout(t *testing.T) {
	flake := map[string]string{"flake.nix": wholeFlake, "default.nix": packageNix, "sub/flake.nix": wholeFlake, "sub/default.nix": packageNix, "sub/deep/x": ""}
	edit := func(t *testing.T, r Exec, dir string) string {
		return write(t, dir, map[string]string{"flake.nix": wholeFlake + "# changed"})
	}
	for name, at := range map[string]func(t *testing.T, r Exec, dir string) string{
		"clean":       func(_ *testing.T, _ Exec, dir string) string { return dir },
		"changed":     edit,
		"a directory": func(_ *testing.T, _ Exec, dir string) string { return dir + "/sub" },
		"below flake": func(_ *testing.T, _ Exec, dir string) string { return dir + "/sub/deep" },
		"parent":      func(_ *testing.T, _ Exec, dir string) string { return dir + "/sub/.." },
		"worktree": func(t *testing.T, r Exec, dir string) string {
			in(t, r, dir, "git worktree add -q ../tree")
			litter(t, r, dir+"/../tree")
			return dir + "/../tree"
		},
		"its change": func(t *testing.T, r Exec, dir string) string {
			in(t, r, dir, "git worktree add -q --detach ../tree")
			return edit(t, r, dir+"/../tree")
		},
		"detached": func(t *testing.T, r Exec, dir string) string { in(t, r, dir, "git checkout -q --detach"); return dir },
		"link": func(t *testing.T, r Exec, dir string) string {
			in(t, r, dir, "ln -s checkout/sub ../link")
			return dir + "/../link"
		},
		"shallow": func(t *testing.T, r Exec, dir string) string {
			in(t, r, dir, "git commit -q --allow-empty -m second; git clone -q --depth 1 file://$PWD ../shallow")
			litter(t, r, dir+"/../shallow")
			return dir + "/../shallow"
		},
		"shallow, changed": func(t *testing.T, r Exec, dir string) string {
			in(t, r, dir, "git commit -q --allow-empty -m second; git clone -q --depth 1 file://$PWD ../shallow")
			return edit(t, r, dir+"/../shallow")
		},
		"submodule": func(t *testing.T, r Exec, dir string) string {
			in(t, r, dir, "git init -q -b main ../outer; cd ../outer; git submodule --quiet add file://"+dir+" module; git commit -q -m outer")
			return dir + "/../outer/module"
		},
		"no commit": func(t *testing.T, r Exec, dir string) string {
			in(t, r, dir, "rm -rf .git; git init -q -b main .; git add flake.nix default.nix sub")
			return dir
		},
		"no repository": func(t *testing.T, r Exec, dir string) string { in(t, r, dir, "rm -rf .git .env"); return dir },
	} {
		t.Run(name, func(t *testing.T) {
			eachNix(t, func(t *testing.T, nix Exec) {
				dir := at(t, nix, plant(t, nix, flake))
				x, pinned := evaluated(t, nix, Source{Flake: dir})
				want := in(t, nix, dir, "nix --extra-experimental-features 'nix-command flakes' eval --raw --no-write-lock-file '.#x.outPath'")
				if string(x.Out) != want {
					t.Errorf("%s, and nix eval says %s (%v)", x.Out, want, pinned)
				}
				files := sourceFiles(t, nix, x.Drv)
				if !slices.Contains(files, "default.nix") || name != "no repository" && slices.Contains(files, "note") {
					t.Errorf("files %q", files)
				}
			})
		})
	}
}

// A flake whose flake.lock is missing, stale or not committed is evaluated as `nix build --no-write-lock-file` does, and the checkout stays as it is.
func TestFlakeWithoutLock(t *testing.T) {
	const lock = "nix --extra-experimental-features 'nix-command flakes' flake lock"
	for name, prepare := range map[string]string{
		"no lock":        `git rm -q --cached note 2>/dev/null || :`,
		"not committed":  lock + `; git add flake.lock`,
		"committed":      lock + `; git add flake.lock; git commit -q -m lock`,
		"stale":          lock + `; git add flake.lock; git commit -q -m lock; sed -i 's/inputs.dep.url/inputs.more.url = "path:DEP"; inputs.dep.url/; s/, dep }/, dep, more }/' flake.nix; git commit -q -a -m more`,
		"stale, changed": lock + `; git add flake.lock; git commit -q -m lock; sed -i 's/inputs.dep.url/inputs.more.url = "path:DEP"; inputs.dep.url/; s/, dep }/, dep, more }/' flake.nix`,
	} {
		t.Run(name, func(t *testing.T) {
			eachNix(t, func(t *testing.T, nix Exec) {
				dep := write(t, realTemp(t), map[string]string{"flake.nix": "{ outputs = { self }: { }; }"})
				dir := plant(t, nix, map[string]string{"flake.nix": strings.ReplaceAll(inputsFlake, "DEP", dep)})
				in(t, nix, dir, strings.ReplaceAll(prepare, "DEP", strings.ReplaceAll(dep, "/", `\/`)))
				before := in(t, nix, dir, "git status --short; ls")
				x, _ := evaluated(t, nix, Source{Flake: dir})
				if after := in(t, nix, dir, "git status --short; ls"); after != before {
					t.Errorf("the checkout has\n%s\nand had\n%s", after, before)
				}
				want := in(t, nix, dir, "nix --extra-experimental-features 'nix-command flakes' eval --raw --no-write-lock-file '.#x.outPath'")
				if string(x.Out) != want {
					t.Errorf("%s, and nix eval says %s", x.Out, want)
				}
			})
		})
	}
}

// A path source in a checkout has the files that git does not ignore, whatever else lies there, and two clones of one commit are one source.
func TestPathInACheckout(t *testing.T) {
	sub := map[string]string{
		"pkgs/default.nix": packageNix, "pkgs/script*": "#!/bin/sh", "pkgs/deep/a.b": "", "pkgs/deep/a/x": "", "pkgs/deep/a-b": "", "other/default.nix": "{ }", "huge": "x",
	}
	up := map[string]string{"pkgs/default.nix": "import ../lib/x.nix", "lib/x.nix": packageNix, "lib/y": ""}
	for name, tt := range map[string]struct {
		files  map[string]string
		source string
		want   []string // what src = ./. has
	}{
		"root":            {map[string]string{"default.nix": packageNix, "x": ""}, ".", []string{".gitignore", "default.nix", "note", "x"}},
		"directory":       {sub, "pkgs", []string{"deep/a/x", "deep/a-b", "deep/a.b", "default.nix", "script"}},
		"file":            {sub, "pkgs/default.nix", []string{"deep/a/x", "deep/a-b", "deep/a.b", "default.nix", "script"}},
		"upwards":         {up, "pkgs", []string{"x.nix", "y"}},
		"upwards, a file": {up, "pkgs/default.nix", []string{"x.nix", "y"}},
	} {
		t.Run(name, func(t *testing.T) {
			eachNix(t, func(t *testing.T, nix Exec) {
				dir := plant(t, nix, tt.files)
				x, pinned := evaluated(t, nix, Source{Path: filepath.Join(dir, tt.source)})
				if got := sourceFiles(t, nix, x.Drv); !sameSet(got, tt.want) {
					t.Errorf("files %q, not %q", got, tt.want)
				}
				clone := filepath.Join(realTemp(t), "another")
				in(t, nix, dir, "git clone -q . "+clone)
				litter(t, nix, clone)
				if again, same := evaluated(t, nix, Source{Path: filepath.Join(clone, tt.source)}); again != x || same != pinned || len(same.Key) != 64 {
					t.Errorf("%v of %v, and of a clone %v of %v", x, pinned, again, same)
				}
				write(t, dir, map[string]string{".env": "ANOTHER=1", ".git/x": "y"})
				if again, same := evaluated(t, nix, Source{Path: filepath.Join(dir, tt.source)}); again != x || same != pinned {
					t.Errorf("%v of %v, and after a change of what git ignores %v of %v", x, pinned, again, same)
				}
				changed := filepath.Join(dir, tt.source, "script")
				if strings.HasSuffix(tt.source, ".nix") {
					changed = filepath.Join(dir, filepath.Dir(tt.source), "script")
				}
				if err := os.WriteFile(changed, []byte("changed"), 0o644); err != nil {
					t.Fatal(err)
				}
				if _, other := evaluated(t, nix, Source{Path: filepath.Join(dir, tt.source)}); other.Key == pinned.Key {
					t.Error("a changed file does not change the key")
				}
			})
		})
	}
}

func sameSet(a, b []string) bool {
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// The out path of a package in a clean directory of a checkout is what nix-build gives there.
func TestPathIsThatOfNixBuild(t *testing.T) {
	eachNix(t, func(t *testing.T, nix Exec) {
		dir := plant(t, nix, map[string]string{"pkgs/default.nix": packageNix, "pkgs/a": "", "pkgs/l*": "#!/bin/sh"})
		in(t, nix, dir, "ln -s a pkgs/link; git add pkgs/link")
		x, _ := evaluated(t, nix, Source{Path: dir + "/pkgs"})
		if want := in(t, nix, dir, `nix-store --query --outputs $(nix-instantiate pkgs -A x --argstr system `+native+`)`); string(x.Out) != want {
			t.Errorf("%s, and nix-instantiate says %s", x.Out, want)
		}
	})
}

// An overlay's directory is read as a path source is.
func TestOverlayInACheckout(t *testing.T) {
	eachNix(t, func(t *testing.T, nix Exec) {
		dir := plant(t, nix, map[string]string{
			"set/default.nix": `{ system, overlays }: let set = { inherit system; }; in set // (builtins.head overlays) set set`,
			"ours/o.nix":      `self: super: { x = (import ./p.nix { inherit (self) system; }).x; }`, "ours/p.nix": packageNix, "ours/.gitignore": "*.key",
			"alone/o.nix": `self: super: { x = derivation { name = "x"; inherit (super) system; builder = "/bin/sh"; }; }`,
		})
		write(t, dir, map[string]string{"ours/a.key": ignoredSecret, "alone/a.key": "s3"})
		x, pinned := evaluated(t, nix, Source{Path: dir + "/set", Overlays: []string{dir + "/ours/o.nix"}})
		if got := sourceFiles(t, nix, x.Drv); !sameSet(got, []string{"o.nix", "p.nix", ".gitignore"}) || len(pinned.Key) != 64 {
			t.Errorf("files %q, pinned %v", got, pinned)
		}
		evaluated(t, nix, Source{Path: dir + "/set", Overlays: []string{dir + "/alone/o.nix"}})
		x, _ = evaluated(t, nix, Source{Path: dir + "/set", Overlays: []string{dir + "/ours/o.nix"}, IncludeIgnored: true})
		if out := in(t, nix, "/", "grep -rl hunter2 $(nix-store --query --references "+string(x.Drv)+" | grep -v drv)"); !strings.HasSuffix(out, "/a.key") {
			t.Errorf("with ignored files: %s", out)
		}
	})
}

// Repositories below are read by their own rules; a directory that git ignores can be named; what is in no repository stays where it is, without what git keeps of repositories below it.
func TestPathKinds(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare string // in a checkout of pkgs/default.nix
		src     Source
		want    []string
	}{
		"submodule": {"git init -q ../m; cd ../m; touch a b; echo b > .gitignore; git add .; git commit -q -m m; cd ../checkout; git submodule --quiet add file://$PWD/../m pkgs/m; touch pkgs/m/b pkgs/m/c",
			Source{Path: "pkgs"}, []string{"default.nix", "m/a", "m/c", "m/.gitignore"}},
		"nested clone":                 {"git init -q pkgs/n; cd pkgs/n; echo secret > .gitignore; touch secret a; git add a; git commit -q -m n", Source{Path: "pkgs"}, []string{"default.nix", "n/a", "n/.gitignore"}},
		"in a submodule":               {"git init -q ../m; cd ../m; cp ../checkout/pkgs/default.nix .; git add .; git commit -q -m m; cd ../checkout; git submodule --quiet add file://$PWD/../m m", Source{Path: "m"}, []string{"default.nix"}},
		"removed":                      {"touch pkgs/gone; git add pkgs/gone; rm pkgs/gone", Source{Path: "pkgs"}, []string{"default.nix"}},
		"file for a directory":         {"mkdir pkgs/d; touch pkgs/d/x pkgs/d/y; git add pkgs; rm -r pkgs/d; echo file > pkgs/d", Source{Path: "pkgs"}, []string{"default.nix", "d"}},
		"link for a directory":         {"mkdir -p pkgs/d/e; touch pkgs/d/e/x pkgs/d/y; git add pkgs; mv pkgs/d pkgs/moved; ln -s moved pkgs/d", Source{Path: "pkgs"}, []string{"default.nix", "moved/e/x", "moved/y"}},
		"ignored link for a directory": {"mkdir pkgs/d; touch pkgs/d/x; git add pkgs; echo d > .gitignore; mv pkgs/d ../moved; ln -s ../../moved pkgs/d", Source{Path: "pkgs"}, []string{"default.nix"}},
		"directory for a file":         {"touch pkgs/f; git add pkgs; rm pkgs/f; mkdir pkgs/f; touch pkgs/f/x pkgs/f/.env", Source{Path: "pkgs"}, []string{"default.nix", "f/x"}},
		"ignored":                      {"mv pkgs made; echo made > .gitignore; touch made/x; git init -q made/r", Source{Path: "made"}, []string{"default.nix", "x"}},
		"include ignored":              {"echo '*.key' > .gitignore; touch pkgs/a.key; git init -q pkgs/r; touch pkgs/r/x", Source{Path: "pkgs", IncludeIgnored: true}, []string{"default.nix", "a.key", "r/x"}},
		"forced":                       {"echo 'pkgs' > .gitignore; touch pkgs/a pkgs/b; git add -f pkgs/a", Source{Path: "pkgs"}, []string{"default.nix", "a"}},
		"a link":                       {"ln -s pkgs ../checkout/l; touch pkgs/a", Source{Path: "l"}, []string{"default.nix", "a"}},
		"no repository":                {"rm -rf .git; touch pkgs/a", Source{Path: "pkgs"}, []string{"default.nix", "a"}},
		"repository below":             {"rm -rf .git; git init -q pkgs/r; touch pkgs/r/x", Source{Path: "pkgs"}, []string{"default.nix", "r/x"}},
		"worktree":                     {"git commit -q --allow-empty -m x; git worktree add -q pkgs/w; touch pkgs/w/.env pkgs/w/a", Source{Path: "pkgs/w/pkgs"}, []string{"default.nix"}},
	} {
		t.Run(name, func(t *testing.T) {
			eachNix(t, func(t *testing.T, nix Exec) {
				dir := plant(t, nix, map[string]string{"pkgs/default.nix": packageNix})
				in(t, nix, dir, tt.prepare)
				src := tt.src
				src.Path = filepath.Join(dir, src.Path)
				x, pinned := evaluated(t, nix, src)
				if got := sourceFiles(t, nix, x.Drv); !sameSet(got, tt.want) || len(pinned.Key) != 64 {
					t.Errorf("files %q, not %q; pinned %v", got, tt.want, pinned)
				}
			})
		})
	}
}

// A checkout of another user is an error that says what to write, whatever names it, and is read once git was told to trust it.
func TestCheckoutOfAnotherUser(t *testing.T) {
	eachNix(t, func(t *testing.T, nix Exec) {
		dir := plant(t, nix, map[string]string{"flake.nix": wholeFlake, "default.nix": packageNix, "o.nix": "self: super: { }"})
		in(t, nix, dir, "chown -R 65534 .")
		set := write(t, realTemp(t), map[string]string{"default.nix": "{ system, overlays }: builtins.deepSeq overlays { x = derivation { name = \"x\"; inherit system; builder = \"/bin/sh\"; }; }"})
		sources := map[string]Source{
			"flake": {Flake: dir}, "its URL": {Flake: "git+file://" + dir}, "path": {Path: dir}, "file": {Path: dir + "/default.nix"}, "overlay": {Path: set, Overlays: []string{dir + "/o.nix"}},
			"git": {Git: &Git{URL: "file://" + dir}}, "git rev": {Git: &Git{URL: "file://" + dir, Rev: in(t, nix, dir, "git -c safe.directory='*' rev-parse HEAD")}},
		}
		advice := regexp.MustCompile(`git config --global --add safe\.directory ` + regexp.QuoteMeta(dir) + `\S*`)
		for name, src := range sources {
			err := tried(t, nix, src)
			source, ok := errors.AsType[*SourceError](err)
			if !ok || !advice.MatchString(source.Message) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for name, src := range sources {
			err := tried(t, nix, src)
			for range 2 { // git itself, and the git that serves the repository to it
				if err != nil {
					in(t, nix, dir, advice.FindString(err.Error()))
					err = tried(t, nix, src)
				}
			}
			if err != nil {
				t.Errorf("%s, when trusted: %v", name, err)
			}
		}
	})
}

func tried(t *testing.T, r Runner, src Source) error {
	t.Helper()
	fixed, _, err := Pin(t.Context(), r, src)
	if err == nil || errors.Is(err, ErrUnpinned) {
		_, _, err = Evaluate(t.Context(), r, fixed, onSystems([]string{native}, "x"))
	}
	return err
}

// Messages name the user's files, not the copies of them in the store.
func TestMessagesNameTheCheckout(t *testing.T) {
	eachNix(t, func(t *testing.T, nix Exec) {
		dir := plant(t, nix, map[string]string{"pkgs/default.nix": "{ system }: {\n  x = = 1;\n}"})
		_, _, err := Evaluate(t.Context(), nix, Source{Path: dir + "/pkgs"}, onSystems([]string{native}, "x"))
		if err == nil || !strings.Contains(err.Error(), dir+"/pkgs/default.nix:2:7") {
			t.Errorf("got %v", err)
		}
	})
}

// What an expression names and git ignores is an error that says so, also in an overlay, and in a file that is read alone.
func TestMessagesNameIgnoredFiles(t *testing.T) {
	eachNix(t, func(t *testing.T, nix Exec) {
		dir := plant(t, nix, map[string]string{
			"pkgs/default.nix": "import ./.env", "alone.nix": `{ overlays, ... }: (builtins.head overlays) { } { }`, "o.nix": "self: super: import ./.env", "gone.nix": "import ./gone",
		})
		write(t, dir, map[string]string{"pkgs/.env": "{ }"})
		for title, c := range map[string]struct {
			src  Source
			want string
		}{
			"path":    {Source{Path: dir + "/pkgs"}, dir + "/pkgs/.env exists, but is not read, since git ignores it"},
			"overlay": {Source{Path: dir + "/alone.nix", Overlays: []string{dir + "/o.nix"}}, dir + "/.env exists, but is not read, since git ignores it"},
			"gone":    {Source{Path: dir + "/gone.nix"}, ""},
		} {
			err := tried(t, nix, c.src)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "exists, but") != (c.want != "") {
				t.Errorf("%s: %v", title, err)
			}
		}
	})
}

// A directory's URL has all that Nix must know, in the form that it reads.
func TestFlakeURL(t *testing.T) {
	git := nixHere(t, foreign)
	dir := plant(t, git, map[string]string{"flake.nix": "", "a b+c/flake.nix": ""})
	in(t, git, dir, "git commit -q --allow-empty -m second; git clone -q --depth 1 file://$PWD ../moved; mkdir -p ../none ../holds/repository; git init -q ../holds/repository")
	top := filepath.Dir(dir)
	for flake, want := range map[string]string{
		dir:                            "git+file://" + dir,
		dir + "/a b+c":                 "git+file://" + dir + "?dir=a%20b%2Bc",
		dir + "/a b+c?submodules=1":    "git+file://" + dir + "?dir=a%20b%2Bc&submodules=1",
		dir + "?dir=a%20b%2Bc":         "git+file://" + dir + "?dir=a%20b%2Bc",
		top + "/moved":                 "git+file://" + top + "/moved?shallow=1",
		top + "/moved?shallow=0":       "git+file://" + top + "/moved?shallow=0",
		top + "/none":                  "path:" + top + "/none",
		top + "/holds":                 "path:" + top + "/holds",
		top + "/holds?dir=x":           "path:" + top + "/holds?dir=x",
		"path:" + top + "/holds":       "path:" + top + "/holds",
		"path:" + top + "/none":        "path:" + top + "/none",
		"github:a/b":                   "github:a/b",
		"path:" + dir:                  "path:" + dir,
		"git+file://" + dir + "?ref=x": "git+file://" + dir + "?ref=x",
	} {
		src := Source{Flake: flake}
		if got, err := src.flakeURL(t.Context(), git); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", flake, got, err, want)
		}
		// All files are copied, and git keeps some of them for itself.
		wantWarning := strings.HasPrefix(want, "path:") && !strings.HasSuffix(flake, "/none")
		if warning := src.warning(t.Context()); (warning != "") != wantWarning {
			t.Errorf("%s: warning %q", flake, warning)
		}
	}
}
