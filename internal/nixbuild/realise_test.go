package nixbuild

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func somePackages() []Package {
	return []Package{
		{Name: "b", System: linux, Drv: fakePath("b.drv"), Output: "bin", Out: fakePath("b-bin")},
		{Name: "a", System: "aarch64-linux", Drv: fakePath("a.drv"), Output: "out", Out: fakePath("a")},
		{Name: "A", System: "aarch64-linux", Drv: fakePath("a.drv"), Output: "out", Out: fakePath("a")},
	}
}

func TestRealiseAsksOnce(t *testing.T) {
	roots := filepath.Join(t.TempDir(), "deep", "roots")
	r := &fakeRunner{answer: func(args []string) ([]byte, error) {
		if _, err := os.Stat(roots); err != nil {
			t.Error(err)
		}
		return []byte(string(fakePath("a")) + "\n" + string(fakePath("b-bin")) + "\n"), nil
	}}
	if err := Realise(t.Context(), r, somePackages(), roots); err != nil {
		t.Fatal(err)
	}
	want := []string{"nix-build", "--log-format", "internal-json", "--option", "log-lines", "25", "--out-link", roots + "/package",
		string(fakePath("a.drv")) + "!out", string(fakePath("b.drv")) + "!bin"}
	if len(r.calls) != 1 || !slices.Equal(r.calls[0], want) {
		t.Errorf("calls are %q", r.calls)
	}
}

func TestRealiseNothing(t *testing.T) {
	r := &fakeRunner{answer: func([]string) ([]byte, error) { return nil, errors.New("ran") }}
	if err := Realise(t.Context(), r, nil, t.TempDir()); err != nil {
		t.Error(err)
	}
}

func TestRealiseChecksWhatWasMade(t *testing.T) {
	r := &fakeRunner{answer: func([]string) ([]byte, error) { return []byte(string(fakePath("a")) + "\n"), nil }}
	err := Realise(t.Context(), r, somePackages(), t.TempDir())
	if err == nil || !strings.Contains(err.Error(), string(fakePath("b-bin"))) {
		t.Errorf("error is %v", err)
	}
}

func TestRealiseCannotMakeRoots(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := &fakeRunner{answer: func([]string) ([]byte, error) { return nil, errors.New("ran") }}
	if err := Realise(t.Context(), r, somePackages(), filepath.Join(file, "roots")); err == nil || strings.Contains(err.Error(), "ran") {
		t.Errorf("error is %v", err)
	}
}

// realiseWith is the error of a build that ends as in stderr.
func realiseWith(t *testing.T, exit *ExitError) error {
	t.Helper()
	r := &fakeRunner{answer: func([]string) ([]byte, error) { return nil, exit }}
	err := Realise(t.Context(), r, somePackages(), t.TempDir())
	if err == nil {
		t.Fatal("no error")
	}
	return err
}

func TestBuildErrorRecorded(t *testing.T) {
	for _, version := range versions {
		err := realiseWith(t, failing(t, version, "build-fails.stderr"))
		var build *BuildError
		if !errors.As(err, &build) {
			t.Fatalf("error is %v", err)
		}
		if build.Derivation != "/nix/store/fcvkxfnrwlcjm7nqmjyr00yiacyhnqmw-tiny-fails-1.0.drv" || build.Message != "its builder failed with exit code 3" {
			t.Errorf("%s: %+v", version, build)
		}
		if n := len(build.Log); n != shownLines || build.Log[n-1] != "no such header: tiny.h" || build.Log[0] != "line 17 of a build that fails" {
			t.Errorf("%s: log is %q", version, build.Log)
		}
		mustContain(t, err.Error(), "tiny-fails-1.0.drv: its builder failed", "no such header: tiny.h\nthe whole log: nix-store --read-log /nix/store/")
	}
}

func TestBuildErrorOfDaemons(t *testing.T) {
	fails, needs := string(fakePath("fails.drv")), string(fakePath("needs.drv"))
	log := []string{"       > make: *** no rule", "       >", "       > stop", "       For full logs, run 'nix log " + fails + "'."}
	for name, head := range map[string][]string{
		"before 2.29": {"these 2 derivations will be built:", "error: builder for '" + fails + "' failed with exit code 2;", "       last 3 log lines:"},
		"from 2.29":   {"error: Cannot build '" + fails + "'.", "       Reason: builder failed with exit code 2.", "       Output paths:", "         " + string(fakePath("fails")), "       Last 3 log lines:"},
	} {
		stderr := slices.Concat(head, log, []string{"error: Cannot build '" + needs + "'.", "       Reason: 1 dependency failed."})
		var build *BuildError
		if err := realiseWith(t, &ExitError{Program: "nix-build", Status: "exit status 1", Stderr: stderr}); !errors.As(err, &build) {
			t.Fatalf("%s: error is %v", name, err)
		}
		if string(build.Derivation) != fails || !strings.HasSuffix(build.Message, "builder failed with exit code 2") {
			t.Errorf("%s: %+v", name, build)
		}
		if !slices.Equal(build.Log, []string{"make: *** no rule", "", "stop"}) {
			t.Errorf("%s: log is %q", name, build.Log)
		}
	}
}

// With many jobs, what could not be begun may be told of first.
func TestBuildErrorNamesTheCause(t *testing.T) {
	fails, needs := string(fakePath("fails.drv")), string(fakePath("needs.drv"))
	for name, first := range map[string][]string{
		"before 2.29": {"error: 1 dependencies of derivation '" + needs + "' failed to build"},
		"from 2.29":   {"error: Cannot build '" + needs + "'.", "       Reason: 1 dependency failed."},
	} {
		stderr := append(first, "error: builder for '"+fails+"' failed with exit code 2")
		var build *BuildError
		if err := realiseWith(t, &ExitError{Stderr: stderr}); !errors.As(err, &build) || string(build.Derivation) != fails {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func TestBuildErrorWithWrongHash(t *testing.T) {
	for _, version := range versions {
		err := realiseWith(t, failing(t, version, "wrong-hash.stderr"))
		mustContain(t, err.Error(), "tiny-wrong-hash.drv", "hash mismatch in fixed-output derivation",
			"specified sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=, got sha256-AbpHGcgLb+kRsJGnwFEktk7uzpZOCcBY74+YBdrKVGs=")
	}
}

func TestBuildErrorOfAnotherSystem(t *testing.T) {
	err := realiseWith(t, &ExitError{Stderr: []string{
		"building '" + string(fakePath("arm.drv")) + "'...", "sh: cannot execute: Exec format error",
		"error: builder for '" + string(fakePath("arm.drv")) + "' failed with exit code 126"}})
	mustContain(t, err.Error(), "native runner", "remote builder", "binfmt")
}

func TestSystemErrorRecorded(t *testing.T) {
	for _, version := range versions {
		err := realiseWith(t, failing(t, version, "other-system.stderr"))
		var system *SystemError
		if !errors.As(err, &system) || system.Wanted != "aarch64-linux" || system.Have != linux || len(system.Missing) > 0 {
			t.Errorf("%s: %+v, %v", version, system, err)
		}
		mustContain(t, err.Error(), "tiny-noisy.drv takes aarch64-linux, and this machine is x86_64-linux", "native runner", "remote builder", "binfmt")
		err = realiseWith(t, failing(t, version, "missing-feature.stderr"))
		if !errors.As(err, &system) || system.Wanted != linux || !slices.Equal(system.Missing, []string{"quantum"}) {
			t.Errorf("%s: %+v, %v", version, system, err)
		}
		mustContain(t, err.Error(), "system features {quantum}")
	}
}

// The wording is that of Nix's derivation-building-goal.cc since 2.29.
func TestSystemErrorOfNewNix(t *testing.T) {
	err := realiseWith(t, &ExitError{Stderr: []string{
		"error: Cannot build '" + string(fakePath("arm.drv")) + "'.",
		"       Reason: required system or feature not available",
		"       Required system: 'aarch64-linux' with features {kvm, quantum}",
		"       Current system: 'x86_64-linux' with features {benchmark, kvm}",
	}})
	var system *SystemError
	if !errors.As(err, &system) || system.Derivation != fakePath("arm.drv") || system.Wanted != "aarch64-linux" || !slices.Equal(system.Missing, []string{"quantum"}) {
		t.Errorf("%+v, %v", system, err)
	}
}

func TestCollectedDerivation(t *testing.T) {
	for _, version := range versions {
		err := realiseWith(t, failing(t, version, "collected.stderr"))
		mustContain(t, err.Error(), "garbage-collected between evaluation and build", "run this again", "gone.drv")
	}
}

func TestNoBuildUsers(t *testing.T) {
	for _, line := range []string{"the group 'nixbld' specified in 'build-users-group' does not exist", "the build users group 'nixbld' has no members"} {
		err := realiseWith(t, &ExitError{Program: "nix-build", Status: "exit status 1", Stderr: []string{"error: " + line}})
		mustContain(t, err.Error(), `put the line "build-users-group =" into /etc/nix/nix.conf`, line)
		err = realiseWith(t, &ExitError{Program: "nix-build", Status: "exit status 1", Stderr: []string{"warning: " + line, "error: another"}})
		if strings.Contains(err.Error(), "nix.conf") {
			t.Errorf("a warning was taken for the cause: %v", err)
		}
	}
}

func TestRealiseOtherErrors(t *testing.T) {
	err := realiseWith(t, &ExitError{Program: "nix-build", Status: "exit status 1", Stderr: []string{"error: cannot connect to socket"}})
	mustContain(t, err.Error(), "realising packages: nix-build: exit status 1\nerror: cannot connect to socket")
}

// A package whose own build fails can be pointed at; what it depends on cannot.
func TestBuildErrorNamesPackages(t *testing.T) {
	for drv, want := range map[string][]string{"a.drv": {"a", "A"}, "b.drv": {"b"}, "below.drv": nil} {
		err := realiseWith(t, &ExitError{Stderr: []string{"error: builder for '" + string(fakePath(drv)) + "' failed with exit code 2"}})
		var build *BuildError
		if !errors.As(err, &build) || !slices.Equal(build.Packages, want) {
			t.Errorf("%s: packages %q of %v", drv, build.Packages, err)
		}
	}
}
