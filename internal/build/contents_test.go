package build

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/cache/cachetest"
	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/spec"
)

func file(p nix.StorePath, name, text string, mode fs.FileMode) fstest.MapFS {
	return fstest.MapFS{string(p[1:]) + "/" + name: {Data: []byte(text), Mode: mode}}
}

func storeWith(more ...fstest.MapFS) fstest.MapFS {
	s := store()
	for _, files := range more {
		for name, f := range files {
			s[name] = f
		}
	}
	return s
}

// heard collects a line's warnings: "line:column title: message".
func heard(builder *Builder) *[]string {
	var all []string
	builder.Warn = func(w Warning) {
		all = append(all, fmt.Sprintf("%d:%d %s: %s", w.Pos.Line, w.Pos.Column, w.Title, w.Message))
	}
	return &all
}

func TestWarningsOfARun(t *testing.T) {
	app, arm, lib, cacert := path("app-x86_64-linux"), path("app-aarch64-linux"), path("lib"), path("cacert")
	builder := newBuilder(t, &fakeNix{})
	builder.Store = storeWith(
		file(app, "bin/x", "app", 0o555), file(arm, "bin/x", "app", 0o555), file(lib, "bin/x", "lib", 0o555),
		file(cacert, "etc/ssl/certs/ca-bundle.crt", "public", 0o444), file(lib, "etc/ssl/certs/ca-bundle.crt", "corporate", 0o444),
		file(lib, "src/.env", "S=1", 0o444), file(lib, "src/.git/config", "", 0o444),
	)
	o := target("box", both, "app", "lib")
	o.Pos, o.PackagePos = spec.Position{Line: 1, Column: 1}, []spec.Position{{Line: 2, Column: 1}, {Line: 3, Column: 1}}
	o.Config = spec.Config{Entrypoint: []string{"xx"}, EntrypointPos: spec.Position{Line: 4, Column: 1}, User: "app", UserPos: spec.Position{Line: 5, Column: 1}}
	got := heard(builder)
	report, err := run(t, builder, newDestination(t), o)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"3:1 Packages have the same file: packages app and lib both have bin/x, with different content: that of app is used, as app-x86_64-linux sorts before lib",
		"3:1 Packages have the same file: packages cacert and lib both have etc/ssl/certs/ca-bundle.crt, with different content: that of cacert is used, as cacert sorts before lib; cacert is in every image",
		`4:1 Program cannot be started: image box: entrypoint "xx": no package has such a program in PATH (/bin:/sbin:/usr/bin); did you mean x?`,
		`5:1 User does not exist: image box: user "app": the image's /etc/passwd has no user "app", so no container starts; write a number, such as 1000, or add a package that has etc/passwd`,
		"3:1 Packages have the same file: packages app and lib both have bin/x, with different content: that of app is used, as app-aarch64-linux sorts before lib",
		"2:1 File that may hold credentials: package app: lib holds src/.env, src/.git: readable in every copy of image box; if it is a secret, revoke it and leave it out of the package's source",
	}
	if diff := cmp.Diff(want, *got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(report.Run.Warnings) != len(want) || report.Run.Warnings[0].Image != "box" {
		t.Errorf("reported %v", report.Run.Warnings)
	}
}

// A leak is named even if the run fails: the layer may have been uploaded.
func TestWarningsOfAFailedRun(t *testing.T) {
	builder, dest := newBuilder(t, &fakeNix{}), newDestination(t)
	builder.Store = storeWith(file(path("lib"), ".env", "", 0o444))
	dest.claim = func(v1.Hash) v1.Hash { return v1.Hash{} }
	got := heard(builder)
	if _, err := run(t, builder, dest, target("box", both, "app")); err == nil {
		t.Fatal("no error")
	}
	if len(*got) != 1 || !strings.Contains((*got)[0], ".env") {
		t.Errorf("got %q", *got)
	}
}

// A command that is changed while all layers come from the cache is looked at if the packages are on this machine; if not,
// nothing is built for it.
func TestWarningsOfACachedRun(t *testing.T) {
	place := []cache.Place{{Store: cachetest.NewMemory(), Mode: cache.Min}}
	pkgs := t.TempDir()
	for i, c := range []struct {
		store fs.FS
		cmd   string
		warns int
	}{{store(), "/nix", 1}, {store(), "missing", 1}, {fstest.MapFS{}, "missing", 0}} {
		nix := &fakeNix{}
		builder := newBuilder(t, nix)
		builder.Cache, builder.Store = cache.New(place, place, slog.New(slog.DiscardHandler)), c.store
		o := target("box", both, "app")
		o.Config.Cmd = []string{c.cmd}
		got := heard(builder)
		_, err := builder.Run(t.Context(), spec.Nixpkgs{Path: pkgs}, []Target{o}, nil, &Stats{})
		if err != nil || len(*got) != c.warns || i > 0 && len(nix.calls) > 0 {
			t.Errorf("run %d: warnings %q, processes %q, %v", i, *got, nix.calls, err)
		}
	}
}

// looked is an image of one package, app, with these files.
func looked(t *testing.T, files map[string]*fstest.MapFile) *layers.Contents {
	t.Helper()
	app := path("app-x86_64-linux")
	s := fstest.MapFS{string(app[1:]) + "/share/x": {}, "run/app": {Mode: 0o755}, "etc/passwd": {Data: []byte("host:x:1:1::/:\n")}}
	for name, f := range files {
		s[string(app[1:])+"/"+name] = f
	}
	c, err := layers.NewContents(s, []nix.StorePath{app}, nix.Closure{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCheckProgram(t *testing.T) {
	app := string(path("app-x86_64-linux"))
	c := looked(t, map[string]*fstest.MapFile{
		"bin/git": {Mode: 0o555}, "bin/data": {Mode: 0o444}, "bin/dir/x": {Mode: 0o555}, "opt/bin/tool": {Mode: 0o555}, "bin/env": {Mode: 0o555},
		"bin/out": {Data: []byte("/run/app"), Mode: fs.ModeSymlink | 0o777}, "bin/g": {Data: []byte("git"), Mode: fs.ModeSymlink | 0o777},
	})
	list := func(words ...string) []string { return words }
	for name, one := range map[string]struct {
		config v1.Config
		want   string // part of the message; "" for none
	}{
		"nothing":              {v1.Config{}, ""},
		"in PATH":              {v1.Config{Entrypoint: list("git", "missing")}, ""},
		"a command":            {v1.Config{Cmd: list("g")}, ""},
		"absolute":             {v1.Config{Entrypoint: list("/bin/git")}, ""},
		"in the store":         {v1.Config{Entrypoint: list(app + "/bin/git")}, ""},
		"added":                {v1.Config{Entrypoint: list("/usr/bin/env")}, ""},
		"arguments":            {v1.Config{Entrypoint: list("git"), Cmd: list("--missing")}, ""},
		"another PATH":         {v1.Config{Entrypoint: list("tool"), Env: list("PATH=relative:/opt/bin")}, ""},
		"relative":             {v1.Config{Entrypoint: list("./bin/tool"), WorkingDir: "/opt"}, ""},
		"of a volume":          {v1.Config{Entrypoint: list("/srv/app/run"), Volumes: map[string]struct{}{"/srv": {}}}, ""},
		"relative in a volume": {v1.Config{Entrypoint: list("./run"), WorkingDir: "/srv/app", Volumes: map[string]struct{}{"/srv": {}}}, ""},

		"misspelt":             {v1.Config{Entrypoint: list("gti")}, `entrypoint "gti": no package has such a program in PATH (/bin:/sbin:/usr/bin); did you mean git?`},
		"a misspelt command":   {v1.Config{Cmd: list("gti")}, `cmd "gti": no package`},
		"far off":              {v1.Config{Entrypoint: list("postgresql")}, "; add the package that has it"},
		"not in this PATH":     {v1.Config{Entrypoint: list("git"), Env: list("PATH=/opt/bin")}, "in PATH (/opt/bin); did you mean /bin/git?"},
		"empty":                {v1.Config{Entrypoint: list("")}, `entrypoint "": `},
		"elsewhere":            {v1.Config{Entrypoint: list("/usr/bin/git")}, `"/usr/bin/git": the image has no such file; did you mean /bin/git?`},
		"of the machine":       {v1.Config{Entrypoint: list("/run/app")}, "no such file"},
		"a link out":           {v1.Config{Entrypoint: list("out")}, "no package has"},
		"no program":           {v1.Config{Entrypoint: list("data")}, "it is not executable in /bin/data"},
		"a directory":          {v1.Config{Entrypoint: list("/bin/dir")}, "it is a directory"},
		"a directory in PATH":  {v1.Config{Entrypoint: list("dir")}, "no package has"},
		"relative and missing": {v1.Config{Entrypoint: list("./tool"), WorkingDir: "/opt"}, "the image has no such file"},
		"words":                {v1.Config{Entrypoint: list("git --version")}, "; each word is an item of its own: write entrypoint: [git, --version]"},
		"words with a path":    {v1.Config{Cmd: list("/bin/git log -p")}, "write cmd: [/bin/git, log, -p]"},
	} {
		if one.config.Env == nil {
			one.config.Env = []string{"PATH=/bin:/sbin:/usr/bin"}
		}
		got, err := checkProgram(c, target("box", nil), one.config)
		checkOne(t, name, got, err, one.want)
	}
}

func checkOne(t *testing.T, name string, got []Warning, err error, want string) {
	t.Helper()
	switch {
	case err != nil:
		t.Errorf("%s: %v", name, err)
	case want == "" && len(got) > 0 || want != "" && len(got) != 1:
		t.Errorf("%s: got %v, want %q", name, got, want)
	case want != "" && !strings.Contains(got[0].Message, want):
		t.Errorf("%s: got %q, want %q", name, got[0].Message, want)
	}
}

func TestCheckUser(t *testing.T) {
	none := looked(t, nil)
	own := looked(t, map[string]*fstest.MapFile{"etc/passwd": {Data: []byte("postgres:x:70:70::/:/bin/sh\n")}, "etc/group": {Data: []byte("db:x:70:\n")}})
	out := looked(t, map[string]*fstest.MapFile{"etc/passwd": {Data: []byte("/etc/passwd-of-the-machine"), Mode: fs.ModeSymlink | 0o777}})
	for _, one := range []struct {
		c          *layers.Contents
		user, want string
	}{
		{none, "", ""}, {none, "root", ""}, {none, "nobody:nobody", ""}, {none, "1000", ""}, {none, "1000:1000", ""}, {none, "0:root", ""},
		{own, "postgres:db", ""}, {own, "70:db", ""},
		{none, "app", `no user "app"`}, {none, "app:1000", `no user "app"`}, {none, "1000:app", `/etc/group has no group "app"`},
		{none, "rooot", "did you mean root?"}, {none, "host", `no user "host"`}, {own, "root", `no user "root"`}, {own, "postgre", "did you mean postgres?"},
		{out, "root", `no user "root"`},
	} {
		got, err := checkUser(one.c, target("box", nil), v1.Config{User: one.user})
		checkOne(t, one.user, got, err, one.want)
	}
}

// A store that cannot be read fails the run, and is not taken for an image without the program.
func TestUnreadableStoreIsNoWarning(t *testing.T) {
	broken := errors.New("input/output error")
	builder := newBuilder(t, &fakeNix{})
	builder.Store = brokenStore{store(), broken}
	got := heard(builder)
	if _, err := run(t, builder, newDestination(t), target("box", both, "app")); !errors.Is(err, broken) || len(*got) > 0 {
		t.Errorf("got %v, warnings %q", err, *got)
	}
}

type brokenStore struct {
	fstest.MapFS
	err error
}

func (s brokenStore) Lstat(string) (fs.FileInfo, error) { return nil, s.err }

// However many store paths have such files, a few are named.
func TestWarningsOfCredentialsAreFew(t *testing.T) {
	builder := newBuilder(t, &fakeNix{})
	got := heard(builder)
	j := &job{Builder: builder, targets: []Target{target("box", both[:1])}, platforms: []TargetPlatform{{Image: "box"}}}
	for i := range 25 {
		p := nix.StorePath(fmt.Sprintf("%s/%032d-p%d", nix.StoreDir, i, i))
		j.platforms[0].Closure.Paths = append(j.platforms[0].Closure.Paths, nix.PathInfo{Path: p})
		for f := range 10 {
			j.warnings.noteCredential(p, fmt.Sprintf("%d/.env", f))
		}
	}
	j.warnOfCredentials()
	if len(*got) != maxWarnings+1 || !strings.Contains((*got)[0], "7/.env and 2 more: ") || !strings.Contains((*got)[maxWarnings], "5 more store paths") {
		t.Errorf("got %d: %q", len(*got), *got)
	}
}
