package layers

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/org/nixery-action/internal/layers/layerstest"
	"github.com/org/nixery-action/internal/nix"
)

func text(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s), Mode: 0o444} }

func program(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s), Mode: 0o555} }

func contents(t *testing.T, store fs.FS, packages ...nix.StorePath) *Contents {
	t.Helper()
	c, err := NewContents(store, packages, closureOf(append(packages, pkgDep)...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConflicts(t *testing.T) {
	for name, c := range map[string]struct {
		a, b map[string]*fstest.MapFile
		want string
	}{
		"other files":           {m{"bin/a": file()}, m{"bin/b": file()}, ""},
		"one program":           {m{"bin/x": program("a")}, m{"bin/x": program("b")}, "bin/x"},
		"any file":              {m{"share/doc/x": text("a")}, m{"share/doc/x": text("bb")}, "share/doc/x"},
		"same content":          {m{"bin/x": program("a")}, m{"bin/x": program("a")}, ""},
		"same content, other x": {m{"bin/x": program("a")}, m{"bin/x": text("a")}, "bin/x"},
		"same, but for the end": {m{"x": text(strings.Repeat("a", 40000) + "b")}, m{"x": text(strings.Repeat("a", 40000) + "c")}, "x"},
		"one file of a third":   {m{"bin/x": link(string(pkgDep) + "/x")}, m{"bin/x": link("../y"), "y": link(string(pkgDep) + "/x")}, ""},
		"two files of a third":  {m{"bin/x": link(string(pkgDep) + "/x")}, m{"bin/x": link(string(pkgDep) + "/y")}, "bin/x"},
		"one way out":           {m{"var/run": link("/run")}, m{"var/run": link("/run")}, ""},
		"two ways out":          {m{"var/run": link("/run")}, m{"var/run": link("/var/run")}, "var/run"},
		"a way out, a file":     {m{"var/run": link("/run")}, m{"var/run": file()}, "var/run"},
		"a way out, and more":   {m{"var/run": link("/run")}, m{"var/run/app/x": file()}, "var/run"},
		"and the other way":     {m{"var/run/app/x": file()}, m{"var/run": link("/run")}, "var/run"},
		"file and directory":    {m{"share/app": file()}, m{"share/app/x": file()}, "share/app"},
		"directory and file":    {m{"share/app/x": file()}, m{"share/app": file()}, "share/app"},
		"merged links":          {m{"lib/x": file(), "lib64": link("lib")}, m{"lib64/y": file()}, ""},
		"a file behind a link":  {m{"lib/x": text("a"), "lib64": link("lib")}, m{"lib64/x": text("b")}, "lib64/x"},
		"two linked bins":       {m{"x/git": file(), "bin": link("x")}, m{"x/curl": file(), "bin": link("x")}, "bin"},
		"one linked bin":        {m{"bin": link(string(pkgDep) + "/d")}, m{"bin": link(string(pkgDep) + "/d")}, ""},
		"for builds only":       {m{"nix-support/setup-hook": text("a")}, m{"nix-support/setup-hook": text("b")}, ""},
		"itself":                {m{"lib/x": text("a"), "lib64/x": text("b"), "z": link("lib")}, m{"z/y": file()}, ""},
	} {
		store := fstest.MapFS{in(pkgDep, "/x"): program("x"), in(pkgDep, "/y"): program("y"), in(pkgDep, "/d/z"): file()}
		for name, f := range c.a {
			store[in(pkgA, "/"+name)] = f
		}
		for name, f := range c.b {
			store[in(pkgB, "/"+name)] = f
		}
		for _, order := range [][]nix.StorePath{{pkgA, pkgB}, {pkgB, pkgA}} {
			var got []string
			for _, conflict := range contents(t, with(store, host(pkgStranger)), order...).Conflicts() {
				if conflict.Used != pkgA || conflict.Left != pkgB {
					t.Errorf("%s: %v", name, conflict)
				}
				got = append(got, conflict.Names...)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%s: got %q, want %q", name, got, c.want)
			}
		}
	}
}

type m = map[string]*fstest.MapFile

// However many files two packages have in common, a few are named.
func TestConflictsAreFew(t *testing.T) {
	store := fstest.MapFS{}
	for i := range 100 {
		store[in(pkgA, fmt.Sprintf("/bin/%02d", i))], store[in(pkgB, fmt.Sprintf("/bin/%02d", i))] = text("a"), text("b")
	}
	want := []Conflict{{Used: pkgA, Left: pkgB, More: true}}
	for i := range maxConflictNames {
		want[0].Names = append(want[0].Names, fmt.Sprintf("bin/%02d", i))
	}
	if diff := gocmp.Diff(want, contents(t, store, pkgA, pkgB).Conflicts()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// An image is looked into as a container sees it, and never the machine.
func TestContents(t *testing.T) {
	c := contents(t, with(fstest.MapFS{
		in(pkgA, "/bin/app"): program("app"), in(pkgA, "/bin/data"): text("data"), in(pkgA, "/bin/out"): link("/run/app"),
		in(pkgA, "/bin/env"): program("env"), in(pkgA, "/sbin"): link("bin"), in(pkgA, "/etc/hosts"): link("/etc/passwd"),
		in(pkgDep, "/lib/x"): program("x"),
	}, host(pkgStranger)), pkgA)
	for name, want := range map[string]string{
		"/bin/app": "-r-xr-xr-x", "/sbin/app": "-r-xr-xr-x", "/bin/data": "-r--r--r--", "/usr/bin/env": "-r-xr-xr-x", "/bin": "dr-xr-xr-x", "/": "dr-xr-xr-x",
		"/etc/hosts": "-r--r--r--", string(pkgDep) + "/lib/x": "-r-xr-xr-x", "/nix/store/../../bin/app": "-r-xr-xr-x",
		"/bin/out": "", "/run": "", "/run/HOST": "", "/none": "", string(pkgStranger): "", "/nix/store/.links": "", "/bin/app/x": "", "/etc/ssl": "",
	} {
		mode, err := c.Mode(name)
		if want == "" && !errors.Is(err, fs.ErrNotExist) || want != "" && (err != nil || mode.String() != want) {
			t.Errorf("%s: got %s, %v, want %q", name, mode, err, want)
		}
	}
	for dir, want := range map[string]string{"/bin": "app data env out", "/sbin": "app data env out", "/etc": "group hosts nsswitch.conf passwd", "/run": "", "/bin/app": "", "/none": "", "/nix/store": ""} {
		if names, err := c.Names(dir); err != nil || strings.Join(names, " ") != want {
			t.Errorf("%s: got %q, %v, want %q", dir, names, err, want)
		}
	}
	for name, want := range map[string]string{"/etc/passwd": passwd, "/etc/hosts": passwd, "/bin/data": "data"} {
		if data, err := c.ReadFile(name, 1000); err != nil || string(data) != want {
			t.Errorf("%s: got %q, %v", name, data, err)
		}
	}
	for _, name := range []string{"/etc", "/run/HOST", "/none"} {
		if data, err := c.ReadFile(name, 1000); err == nil {
			t.Errorf("%s: got %q", name, data)
		}
	}
	if _, err := c.ReadFile("/etc/passwd", 5); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("got %v", err)
	}
}

func TestMayHoldCredentials(t *testing.T) {
	for name, want := range map[string]bool{
		".env": true, "app/.env": true, ".env.local": true, ".env.production": true, "tests/.env": true, ".git": true, "src/.git": true,
		".netrc": true, "_netrc": true, ".npmrc": true, ".pypirc": true, ".git-credentials": true, ".docker/config.json": true, "root/.docker/config.json": true,
		".aws/credentials": true, ".kube/config": true, ".ssh/id_rsa": true, "id_ed25519": true, "credentials.json": true, "terraform.tfstate": true, ".vault-token": true, ".htpasswd": true,
		".config/gcloud/application_default_credentials.json": true, ".pgpass": true, "site-packages/app/.env": true,

		".env.example": false, ".env.sample": false, ".env.template": false, ".env.dist": false, ".env.local.example": false, "env": false, "x.env": false, ".environment": false, ".envrc": false,
		".git/config": false, ".gitignore": false, "config.json": false, "docker/config.json": false, "credentials": false, "kube/config": false, ".ssh/id_rsa.pub": false, "id_rsa.pub": false,
		"share/doc/x/id_rsa": false, "lib/python3/test/id_rsa": false, "x/testdata/a/b/credentials.json": false, "node_modules/x/.env": false, "lib/node_modules/x/.npmrc": false,
		"etc/ssl/certs/ca-bundle.crt": false, "server.pem": false, "server.key": false, "bin/aws": false,
	} {
		mode := fs.FileMode(0o444)
		if strings.HasSuffix(name, ".git") {
			mode = modeDir
		}
		if got := mayHoldCredentials(name, mode); got != want {
			t.Errorf("%s: got %v", name, got)
		}
	}
	if mayHoldCredentials(".env", modeDir) || mayHoldCredentials(".git", modeFile) {
		t.Error("a virtual environment, or the .git of a worktree, holds no secret")
	}
}

// The page that users read has each name of the lists.
func TestDocumentedCredentials(t *testing.T) {
	page, err := os.ReadFile("../../docs/contents.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range []map[string]bool{secretNames, secretPaths, keyNames, public} {
		for name := range set {
			if !strings.Contains(string(page), "`"+name+"`") {
				t.Errorf("docs/contents.md has no %s", name)
			}
		}
	}
	for ending := range samples {
		if !strings.Contains(string(page), "."+ending+"`") {
			t.Errorf("docs/contents.md has no .env.%s", ending)
		}
	}
}

// What is packed is looked at, in each way of packing, and no byte differs.
func TestCredentialsAreNamedWhilePacking(t *testing.T) {
	named := layerstest.Path("id_rsa", 5)
	store := fstest.MapFS{in(pkgA, "/src/.env"): text("S=1"), in(pkgA, "/src/.git/config"): text(""), in(pkgB, "/x"): file(), string(named[1:]): text("key")}
	quiet := newPacker(t, store, DefaultCompression, false).Layer(groupOf(pkgA, pkgB, named), nil)
	for _, how := range []func(*Layer) error{(*Layer).Measure, func(l *Layer) error { readAll(t, l.Uncompressed); return nil }} {
		p := newPacker(t, store, DefaultCompression, false)
		var mu sync.Mutex
		var got []string
		p.Credential = func(in nix.StorePath, name string) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, in.Name()+" "+name)
		}
		layer := p.Layer(groupOf(pkgA, pkgB, named), nil)
		if err := how(layer); err != nil {
			t.Fatal(err)
		}
		if want := []string{"a-1 src/.env", "a-1 src/.git", "id_rsa id_rsa"}; !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
		if !slices.Equal(readAll(t, layer.Uncompressed), readAll(t, quiet.Uncompressed)) {
			t.Error("the bytes differ")
		}
	}
}
