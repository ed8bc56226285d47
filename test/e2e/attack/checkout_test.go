//go:build e2e

package attack

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The flake packs its own sources, as most applications' flakes do.
const sourceFlake = `{
  outputs = { self }: {
    packages.x86_64-linux.app = derivation {
      name = "app"; system = "x86_64-linux"; PATH = "/usr/bin:/bin";
      src = %s; builder = "/bin/sh"; args = [ "-c" "cp -r $src $out" ];
    };
  };
}
`

// checkedOut is a checkout as actions/checkout leaves it, with the token in .git/config, in which a developer has worked.
type checkedOut struct {
	dir     string
	tracked string // a text in a file that git tracks
	secrets map[string]string
}

// header is what actions/checkout writes for a token.
func header(token string) string {
	return "AUTHORIZATION: basic " + base64.StdEncoding.EncodeToString([]byte("x-access-token:"+token))
}

func checkOut(t *testing.T, u *user, spec string, files map[string]string) checkedOut {
	t.Helper()
	c := checkedOut{tracked: "tracked-" + salt(), secrets: map[string]string{
		"the token of .git/config": "ghs-" + salt(), ".env": "env-" + salt(), "an untracked key": "key-" + salt(),
	}}
	all := map[string]string{"nixery.yaml": spec, ".gitignore": ".env\n", "app.txt": c.tracked + "\n", "sub/app.txt": c.tracked + "\n"}
	for name, text := range files {
		all[name] = text
	}
	c.dir = u.repository(t, all)
	u.git(t, c.dir, "config", "http.https://github.com/.extraheader", header(c.secrets["the token of .git/config"]))
	for _, dir := range []string{"", "sub"} {
		write(t, c.dir, map[string]string{
			filepath.Join(dir, ".env"):   "PASSWORD=" + c.secrets[".env"],
			filepath.Join(dir, "id_rsa"): c.secrets["an untracked key"],
		})
	}
	return c
}

const flakeSpec = "nixpkgs: {flake: .}\npackages: [app]\narchitectures: [amd64]\n"

// dependent is a flake with an input, so that it has something to lock.
func dependent(t *testing.T) map[string]string {
	t.Helper()
	u := newUser(t)
	input := u.repository(t, map[string]string{"flake.nix": "{ outputs = { self }: { }; }\n"})
	flake := strings.Replace(fmt.Sprintf(sourceFlake, "./."), "{ self }", "{ self, input }", 1)
	return map[string]string{"flake.nix": strings.Replace(flake, "{\n", "{\n  inputs.input.url = \"git+file://"+input+"\";\n", 1)}
}

// In whatever state a checkout is, `flake: .` packs what `nix build .` would: the files that git tracks.
func TestCheckoutStaysInside(t *testing.T) {
	whole := map[string]string{"flake.nix": fmt.Sprintf(sourceFlake, "./.")}
	locked := dependent(t)
	for name, in := range map[string]struct {
		spec  string
		files map[string]string
		state func(*testing.T, *user, *checkedOut)
	}{
		"clean": {files: whole},
		"a tracked file is changed": {files: whole, state: func(t *testing.T, _ *user, c *checkedOut) {
			c.tracked = "changed-" + salt()
			write(t, c.dir, map[string]string{"app.txt": c.tracked})
		}},
		"flake.lock is missing": {files: locked},
		"flake.lock is not committed": {files: locked, state: func(t *testing.T, u *user, c *checkedOut) {
			u.run(t, c.dir, "nix", "flake", "lock").wants(t, 0)
		}},
		"a worktree": {files: whole, state: func(t *testing.T, u *user, c *checkedOut) {
			other := filepath.Join(t.TempDir(), "tree")
			u.git(t, c.dir, "worktree", "add", "--quiet", other, "-b", "other")
			write(t, other, map[string]string{".env": c.secrets[".env"], "id_rsa": c.secrets["an untracked key"]})
			c.dir = other
		}},
		"reached by a link": {files: whole, state: func(t *testing.T, _ *user, c *checkedOut) {
			link := filepath.Join(t.TempDir(), "link")
			if err := os.Symlink(c.dir, link); err != nil {
				t.Fatal(err)
			}
			c.dir = link
		}},
		"a directory of it": {
			files: map[string]string{"sub/flake.nix": fmt.Sprintf(sourceFlake, "./..")}, spec: strings.Replace(flakeSpec, "flake: .", "flake: ./sub", 1),
		},
	} {
		t.Run(name, func(t *testing.T) {
			u, r := newUser(t), startRegistry(t)
			c := checkOut(t, u, cmp.Or(in.spec, flakeSpec), in.files)
			if in.state != nil {
				in.state(t, u, &c)
			}
			status := u.git(t, c.dir, "status", "--porcelain")
			run := u.build(t, c.dir, "--tag", r.address+"/acme/app:v1", "--push").wants(t, 0)
			unsaid(t, c.secrets, "the log", run.said)
			nowhere(t, c.secrets, r.dir)
			if len(holding(t, r.dir, c.tracked)) == 0 {
				t.Errorf("what git tracks is not in the image:\n%s", run.said)
			}
			if after := u.git(t, c.dir, "status", "--porcelain"); after != status {
				t.Errorf("the checkout was changed, from\n%s\nto\n%s", status, after)
			}
		})
	}
}

// A path source packs no more than that either.
func TestPathSourceStaysInside(t *testing.T) {
	u, r := newUser(t), startRegistry(t)
	set := `{ system }: { app = derivation {
  name = "app"; inherit system; PATH = "/usr/bin:/bin"; src = ./.; builder = "/bin/sh"; args = [ "-c" "cp -r $src $out" ];
}; }`
	c := checkOut(t, u, "nixpkgs: {path: .}\npackages: [app]\narchitectures: [amd64]\n", map[string]string{"default.nix": set})
	if err := os.Remove(filepath.Join(c.dir, "id_rsa")); err != nil { // what git neither tracks nor ignores is the user's own business
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(c.dir, "sub/id_rsa")); err != nil {
		t.Fatal(err)
	}
	run := u.build(t, c.dir, "--tag", r.address+"/acme/app:v1", "--push").wants(t, 0)
	unsaid(t, c.secrets, "the log", run.said)
	nowhere(t, c.secrets, r.dir)
	if len(holding(t, r.dir, c.tracked)) == 0 {
		t.Errorf("what git tracks is not in the image:\n%s", run.said)
	}
}

// Two clones of a commit with the same change are one image, whatever else lies in them.
func TestTwoClonesAreOneImage(t *testing.T) {
	u := newUser(t)
	c := checkOut(t, u, flakeSpec, map[string]string{"flake.nix": fmt.Sprintf(sourceFlake, "./.")})
	other := filepath.Join(t.TempDir(), "clone")
	u.git(t, c.dir, "clone", "--quiet", c.dir, other)
	for _, dir := range []string{c.dir, other} {
		write(t, dir, map[string]string{"app.txt": "changed in both"})
	}
	one, two := u.build(t, c.dir).wants(t, 0), u.build(t, other).wants(t, 0)
	if one.stdout != two.stdout || !strings.Contains(one.stdout, "sha256:") {
		t.Errorf("two clones give\n%s\nand\n%s", one.stdout, two.stdout)
	}
}

// A checkout of another owner is what every job in a container has. git does not trust it, and neither is it packed as it lies there.
func TestOtherOwnerIsRefused(t *testing.T) {
	u, r := newUser(t), startRegistry(t)
	c := checkOut(t, u, flakeSpec, map[string]string{"flake.nix": fmt.Sprintf(sourceFlake, "./.")})
	give(t, c.dir)
	run := u.build(t, c.dir, "--tag", r.address+"/acme/app:v1", "--push").fails(t)
	if !strings.Contains(run.said, "safe.directory") {
		t.Errorf("the way out is not said:\n%s", run.said)
	}
	if pushed := r.repositories(t); len(pushed) != 0 {
		t.Errorf("%q were pushed", pushed)
	}
	// The way out works.
	u.git(t, u.home, "config", "--global", "--add", "safe.directory", c.dir)
	run = u.build(t, c.dir, "--tag", r.address+"/acme/app:v1", "--push").wants(t, 0)
	unsaid(t, c.secrets, "the log", run.said)
	nowhere(t, c.secrets, r.dir)
	if len(holding(t, r.dir, c.tracked)) == 0 {
		t.Errorf("what git tracks is not in the image:\n%s", run.said)
	}
}

// give makes another user the owner of a directory, until the test ends.
func give(t *testing.T, dir string) {
	t.Helper()
	const script = `[ "$(id -u)" = 0 ] || set -- sudo "$@"; exec "$@"`
	own := func(owner int) {
		if out, err := exec.Command("sh", "-c", script, "sh", "chown", "-R", fmt.Sprint(owner), dir).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
	own(12345)
	t.Cleanup(func() { own(os.Getuid()) })
}

// A workflow does the same: the checkout's token, a file with passwords, a file that a step has changed, and another owner.
func TestCheckoutStaysInsideUnderAct(t *testing.T) {
	u, r := newUser(t), startRegistry(t)
	token, password, tracked := "ghs-"+salt(), "env-"+salt(), "tracked-"+salt()
	secrets := map[string]string{"the token of .git/config": token, ".env": password}
	const workflow = `
on: push
jobs:
  image:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
      - run: |
          git config http.https://github.com/.extraheader "$(cat "$PLANTED/header")"
          echo "PASSWORD=$(cat "$PLANTED/password")" >.env
          echo changed >>app.txt
        env: {PLANTED: "%s"}
      - id: first
        uses: org/nixery-action@v1
        with: {push: true, tags: "%s/acme/app:v1"}
      - run: chown -R 12345:12345 .
      - id: second
        uses: org/nixery-action@v1
        with: {push: true, tags: "%[2]s/acme/app:v2"}
`
	write(t, u.home, map[string]string{"password": password, "header": header(token)}) // not in the workflow, which git tracks
	dir := u.repository(t, map[string]string{
		"nixery.yaml": flakeSpec, "flake.nix": fmt.Sprintf(sourceFlake, "./."), ".gitignore": ".env\n", "app.txt": tracked + "\n",
		".github/workflows/image.yml": fmt.Sprintf(workflow, u.home, r.address),
	})
	run := u.act(t, dir)
	if run.code == 0 {
		t.Errorf("the checkout of another owner was packed:\n%s", run.log)
	}
	if tags := r.tags(t, "acme/app"); len(tags) != 1 || tags[0] != "v1" {
		t.Errorf("the tags are %q, want v1 alone:\n%s", tags, run.log)
	}
	nowhere(t, secrets, r.dir)
	if len(holding(t, r.dir, tracked)) == 0 {
		t.Errorf("what git tracks is not in the image:\n%s", run.log)
	}
}
