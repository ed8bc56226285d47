//go:build e2e

package nixbuild

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"github.com/org/nixery-action/internal/nix"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	native  = map[string]string{"amd64": "x86_64-linux", "arm64": "aarch64-linux"}[runtime.GOARCH]
	foreign = map[string]string{"amd64": "aarch64-linux", "arm64": "x86_64-linux"}[runtime.GOARCH]
	both    = []string{"aarch64-linux", "x86_64-linux"}
)

// eachNix runs a test with every Nix in NIXERY_TEST_NIX_PATHS, or with the one
// on PATH.
func eachNix(t *testing.T, test func(t *testing.T, nix Exec)) {
	t.Helper()
	path := os.Getenv("PATH")
	for _, bin := range strings.Split(cmp.Or(os.Getenv("NIXERY_TEST_NIX_PATHS"), "."), ":") {
		t.Run(filepath.Base(filepath.Dir(bin)), func(t *testing.T) {
			if bin != "." {
				t.Setenv("PATH", bin+":"+path)
			}
			test(t, nixHere(t, foreign))
		})
	}
}

// nixHere is the Nix on PATH, able to build for another system by doing as if:
// the builders of testdata are scripts for this machine's shell.
func nixHere(t *testing.T, extraPlatforms string) Exec {
	t.Helper()
	config := "sandbox = false\nsubstituters =\nextra-platforms = " + extraPlatforms + "\n"
	if _, err := os.Stat("/nix/var/nix/daemon-socket/socket"); err != nil {
		config += "build-users-group =\n" // Nix as root, without a daemon
	}
	home := t.TempDir()
	return Exec{Env: []string{"NIX_CONFIG=" + config, "HOME=" + home, "XDG_CACHE_HOME=" + home}}
}

func tiny(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../testdata/tiny")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// salted is the tiny set with config.salt set, so that what depends on it was
// never built before.
func salted(t *testing.T) Source {
	return Source{Path: tiny(t), Config: map[string]any{"salt": salt()}}
}

func salt() string { return fmt.Sprint(time.Now().UnixNano()) }

func onSystems(systems []string, names ...string) []Want {
	var wants []Want
	for _, system := range systems {
		for _, name := range names {
			wants = append(wants, Want{Name: name, System: system})
		}
	}
	return wants
}

func mustEvaluate(t *testing.T, r Runner, src Source, wants []Want) []Package {
	t.Helper()
	packages, absent, err := Evaluate(t.Context(), r, src, wants)
	if err != nil || len(absent) > 0 {
		t.Fatalf("absent %v, error %v", absent, err)
	}
	return packages
}

func outs(packages []Package) []nix.StorePath {
	var paths []nix.StorePath
	for _, p := range packages {
		paths = append(paths, p.Out)
	}
	return paths
}

// expression writes a Nix file and gives its path.
func expression(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "set.nix")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestRealiseAndQuery(t *testing.T) {
	var first []nix.Closure
	eachNix(t, func(t *testing.T, runner Exec) {
		packages := mustEvaluate(t, runner, Source{Path: tiny(t)}, onSystems(both, "app", "names", "outputs", "file", "hello"))
		roots := filepath.Join(t.TempDir(), "roots")
		if err := Realise(t.Context(), runner, packages, roots); err != nil {
			t.Fatal(err)
		}
		infos, err := QueryPaths(t.Context(), runner, outs(packages))
		if err != nil {
			t.Fatal(err)
		}
		var closures []nix.Closure
		for _, system := range both {
			var of []nix.StorePath
			for _, p := range packages {
				if p.System == system {
					of = append(of, p.Out)
				}
			}
			c, err := nix.NewClosure(of, infos)
			if err != nil {
				t.Fatal(err)
			}
			compareWithNix(t, runner, c)
			closures = append(closures, c)
		}
		if first == nil {
			first = closures
		}
		if fmt.Sprint(first) != fmt.Sprint(closures) {
			t.Errorf("another Nix, another closure:\n%v\n%v", first, closures)
		}
	})
}

// compareWithNix asks Nix for the same closure in two other ways.
func compareWithNix(t *testing.T, runner Exec, c nix.Closure) {
	t.Helper()
	args := withPaths([]string{"nix", "--extra-experimental-features", "nix-command", "path-info", "--json", "--recursive"}, c.Roots)
	text, err := runner.Run(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	read, err := nix.ReadClosure(t.Context(), strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(read) != fmt.Sprint(c) {
		t.Errorf("nix path-info has\n%v\nnot\n%v", read, c)
	}
	text, err = runner.Run(t.Context(), withPaths([]string{"nix-store", "-qR"}, c.Roots)...)
	if err != nil {
		t.Fatal(err)
	}
	var paths []nix.StorePath
	for _, p := range c.Paths {
		paths = append(paths, p.Path)
	}
	listed := strings.Fields(string(text))
	slices.Sort(listed)
	if strings.Join(listed, " ") != strings.Join(withPaths(nil, paths), " ") {
		t.Errorf("nix-store -qR has %q, not %q", listed, paths)
	}
}

func TestRootsHoldUntilRemoved(t *testing.T) {
	eachNix(t, func(t *testing.T, nix Exec) {
		packages := mustEvaluate(t, nix, salted(t), onSystems(both, "noisy"))
		roots := filepath.Join(t.TempDir(), "roots")
		if err := Realise(t.Context(), nix, packages, roots); err != nil {
			t.Fatal(err)
		}
		for _, p := range packages {
			// As the collector decides, but for one path: others use this store.
			_, err := nix.Run(t.Context(), "nix-store", "--delete", string(p.Out))
			if err == nil || !strings.Contains(err.Error(), "alive") {
				t.Errorf("deleting %s while it is held: %v", p.Out, err)
			}
		}
		if err := os.RemoveAll(roots); err != nil {
			t.Fatal(err)
		}
		for _, p := range packages {
			if _, err := nix.Run(t.Context(), "nix-store", "--delete", string(p.Out)); err != nil {
				t.Errorf("deleting %s afterwards: %v", p.Out, err)
			}
		}
	})
}

func TestCollectedBeforeTheBuild(t *testing.T) {
	eachNix(t, func(t *testing.T, nix Exec) {
		packages := mustEvaluate(t, nix, salted(t), onSystems(both[:1], "noisy"))
		if _, err := nix.Run(t.Context(), "nix-store", "--delete", string(packages[0].Drv)); err != nil {
			t.Fatal(err)
		}
		err := Realise(t.Context(), nix, packages, t.TempDir())
		if err == nil {
			t.Fatal("no error")
		}
		mustContain(t, err.Error(), "garbage-collected between evaluation and build", "run this again")
	})
}

func TestNoisyBuild(t *testing.T) {
	eachNix(t, func(t *testing.T, nix Exec) {
		var bytes, lines int
		nix.Stderr = func(line string) { bytes += len(line); lines += strings.Count(line, "the quick brown fox") }
		packages := mustEvaluate(t, nix, salted(t), onSystems(both, "noisy"))
		if err := Realise(t.Context(), nix, packages, t.TempDir()); err != nil {
			t.Fatal(err)
		}
		if lines != 2*3000 || bytes < 256<<10 {
			t.Errorf("%d lines, %d bytes of stderr came by", lines, bytes)
		}
	})
}

func TestFailingBuild(t *testing.T) {
	eachNix(t, func(t *testing.T, nix Exec) {
		packages := mustEvaluate(t, nix, Source{Path: tiny(t)}, onSystems(both[1:], "app", "needsFails"))
		err := Realise(t.Context(), nix, packages, t.TempDir())
		var build *BuildError
		if !errors.As(err, &build) {
			t.Fatalf("error is %v", err)
		}
		if build.Derivation.Name() != "tiny-fails-1.0.drv" || !strings.HasSuffix(build.Message, "builder failed with exit code 3") {
			t.Errorf("%+v", build)
		}
		if n := len(build.Log); n < 10 || build.Log[n-1] != "no such header: tiny.h" || build.Log[n-2] != "line 40 of a build that fails" {
			t.Errorf("log is %q", build.Log)
		}
	})
}

func TestBuildForAnotherSystem(t *testing.T) {
	eachNix(t, func(t *testing.T, nix Exec) {
		packages := mustEvaluate(t, nix, salted(t), onSystems([]string{foreign}, "noisy"))
		err := Realise(t.Context(), nixHere(t, ""), packages, t.TempDir())
		var system *SystemError
		if !errors.As(err, &system) || system.Wanted != foreign || system.Have != native {
			t.Fatalf("error is %v", err)
		}
		mustContain(t, err.Error(), "native runner", "remote builder", "binfmt")
	})
}

// A builder holds one end of a FIFO: it is gone when the other end says so.
func TestCancelEndsTheBuilder(t *testing.T) {
	eachNix(t, func(t *testing.T, nix Exec) {
		nix.Grace = time.Minute // a Nix that is killed on a busy machine leaves its builder behind
		fifo := filepath.Join(t.TempDir(), "alive")
		if _, err := nix.Run(t.Context(), "mkfifo", "-m", "666", fifo); err != nil {
			t.Fatal(err)
		}
		src := Source{Path: expression(t, `{ system }: { forever = derivation {
			name = "forever"; inherit system; builder = "/bin/sh"; PATH = "/usr/bin:/bin"; salt = "`+salt()+`";
			args = [ "-c" "exec 3>`+fifo+`; echo begun >&3; sleep 1000; mkdir $out" ];
		}; }`)}
		packages := mustEvaluate(t, nix, src, onSystems([]string{native}, "forever"))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- Realise(ctx, nix, packages, t.TempDir()) }()
		f, err := os.Open(fifo)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Read(make([]byte, len("begun\n"))); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
		if n, err := f.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Errorf("read %d bytes, %v", n, err)
		}
	})
}
