//go:build e2e

package cli

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestNix runs scripts with every Nix in NIXERY_TEST_NIX_PATHS, or with the one
// on PATH.
func TestNix(t *testing.T) {
	for _, bin := range strings.Split(cmp.Or(os.Getenv("NIXERY_TEST_NIX_PATHS"), "."), ":") {
		t.Run(filepath.Base(filepath.Dir(bin)), func(t *testing.T) {
			runScripts(t, "testdata/e2e/nix", bin)
		})
	}
}

// TestRegistries runs scripts against docker's registry, with the Nix on PATH.
func TestRegistries(t *testing.T) { runScripts(t, "testdata/e2e", ".") }

func runScripts(t *testing.T, dir, nix string) {
	t.Helper()
	servers := startServers(t)
	cmds := maps.Clone(commands)
	maps.Copy(cmds, map[string]func(*testscript.TestScript, bool, []string){
		"registry": servers.registry,
		"address":  address,
		"login":    login,
		"answer":   answer,
		"stall":    stall,
		"requests": requests,
		"forget":   forget,
		"digest":   digest,
		"agrees":   agrees,
		"podman":   podman,
		"daemon":   daemon,
		"engine":   engine,
		"docker":   docker,
		"chroot":   chroot,
		"release":  release,
		"bare":     bare,
	})
	// Scripts run in parallel: the group ends when the last of them has.
	t.Run("scripts", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir:                 dir,
			Cmds:                cmds,
			Setup:               func(env *testscript.Env) error { return settle(env, nix) },
			RequireExplicitExec: true,
			RequireUniqueNames:  true,
			UpdateScripts:       *update,
		})
	})
}

// settle gives a script a home, a Nix that builds for both systems, and the
// package sets as directories of its own.
func settle(env *testscript.Env, nix string) error {
	env.Values[doorKey{}] = &door{gone: make(chan struct{})}
	home := filepath.Join(env.WorkDir, ".home")
	if err := os.Mkdir(home, 0o755); err != nil {
		return err
	}
	env.Setenv("HOME", home)
	if nix != "." {
		env.Setenv("PATH", nix+":"+env.Getenv("PATH"))
	}
	env.Setenv("NIXERY_NIX_ENV", "WORK") // for scripts that play Nix
	config := cmp.Or(os.Getenv("NIX_CONFIG"), nixConfig)
	env.Setenv("NIX_CONFIG", config)
	env.Setenv("NL", "\n")
	env.Setenv("NIX_CONFIG_NATIVE", regexp.MustCompile(`(?m)^extra-platforms .*$`).ReplaceAllString(config, ""))
	return linkSets(env.WorkDir)
}

// nixConfig lets Nix build the package sets of testdata, as root or not.
const nixConfig = "build-users-group =\nsandbox = false\nsubstituters =\nextra-platforms = x86_64-linux aarch64-linux\n"

// linkSets links tiny, and debpkgs if make e2e told where it is.
func linkSets(work string) error {
	tiny, err := filepath.Abs("../../testdata/tiny")
	if err != nil {
		return err
	}
	if err := os.Symlink(tiny, filepath.Join(work, "tiny")); err != nil {
		return err
	}
	debian := os.Getenv("NIXERY_TEST_DEBPKGS")
	if debian == "" {
		return nil
	}
	return os.Symlink(debian, filepath.Join(work, "debpkgs"))
}

// digest keeps the first digest on stdout in a variable, to compare others with:
//
//	digest NAME
func digest(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: digest NAME")
	}
	found := regexp.MustCompile(`sha256:[0-9a-f]{64}`).FindString(ts.ReadFile("stdout"))
	if found == "" {
		ts.Fatalf("there is no digest on stdout")
	}
	ts.Setenv(args[0], found)
}

// podman runs podman with a store of the script's own, as plain as it gets:
//
//	podman run|load|… [ARG…]
func podman(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: podman COMMAND [ARG…]")
	}
	if ts.Getenv("PODMAN") == "" {
		ts.Check(preparePodman(ts))
	}
	all := append(podmanFlags(ts), args[0])
	if args[0] == "run" {
		all = append(all, "--rm", "--network=host", "--ulimit=nofile=1024:2048", "--ulimit=nproc=1024:2048")
	}
	succeeds(ts, neg, ts.Exec("podman", append(all, args[1:]...)...))
}

func podmanFlags(ts *testscript.TestScript) []string {
	dir, driver := ts.Getenv("PODMAN"), ts.Getenv("PODMAN_DRIVER")
	return []string{
		"--root=" + dir + "/" + driver, "--runroot=" + dir + "/run-" + driver, "--tmpdir=" + dir + "/tmp",
		"--storage-driver=" + driver, "--runtime=runc", "--cgroup-manager=cgroupfs", "--events-backend=none",
	}
}

// preparePodman makes a directory outside of the script's own, as podman wants a
// name of 50 characters at most, and finds out whether it can lay layers over
// each other there. Where it cannot, as in a container, it copies them.
func preparePodman(ts *testscript.TestScript) error {
	dir, err := os.MkdirTemp("", "podman")
	if err != nil {
		return err
	}
	ts.Defer(func() { _ = os.RemoveAll(dir) })
	ts.Setenv("PODMAN", dir)
	ts.Setenv("PODMAN_DRIVER", "overlay")
	if ts.Exec("podman", append(podmanFlags(ts), "info")...) != nil {
		ts.Setenv("PODMAN_DRIVER", "vfs")
	}
	return nil
}

// chroot runs a program of another architecture in an unpacked image:
//
//	chroot DIR QEMU PROGRAM [ARG…]
func chroot(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: chroot DIR QEMU PROGRAM [ARG…]")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(addRuntime(ts, dir, args[1]))
	run := []string{"chroot"}
	if os.Geteuid() != 0 {
		run = []string{"unshare", "--map-root-user", "chroot"}
	}
	run = append(run, dir, "/qemu")
	run = append([]string{"-c", `PATH=$PATH:/usr/sbin:/sbin; exec "$0" "$@"`}, run...)
	succeeds(ts, neg, ts.Exec("/bin/sh", append(run, args[2:]...)...))
}

// addRuntime puts into an image what a container's host would bring along: the
// emulator, and a device that git wants.
func addRuntime(ts *testscript.TestScript, dir, emulator string) error {
	if err := os.MkdirAll(filepath.Join(dir, "dev"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "dev/null"), nil, 0o666); err != nil {
		return err
	}
	return ts.Exec("/bin/sh", "-c", `test -e "$1" || cp "$(command -v "$0")" "$1"`, emulator, filepath.Join(dir, "qemu"))
}

func succeeds(ts *testscript.TestScript, neg bool, err error) {
	if (err != nil) != neg {
		ts.Fatalf("unexpected result: %v", err)
	}
}
