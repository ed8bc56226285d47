package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/org/nixery-action/internal/actions"
	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/popularity"
	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/registry"
	"github.com/org/nixery-action/internal/spec"
)

const specWithPlaces = `nixpkgs: {channel: nixos-25.11}
images:
  one:
    repository: ghcr.io/acme/one
    packages: [shell, git]
    architectures: [amd64, arm64]
  two:
    repository: acme/two
    packages: [curl]
    layers: {popularity: "https://example.org/table.json?token=x"}
`

func loadText(t *testing.T, text string) *spec.Spec {
	t.Helper()
	file := filepath.Join(t.TempDir(), "nixery.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := spec.Load(file, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const drv = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-openssl-3.0.15.drv"

func TestFaultsHaveTitleAndPlace(t *testing.T) {
	s := loadText(t, specWithPlaces)
	for _, tc := range []struct {
		title string
		at    string
		err   error
	}{
		{"Unknown package", "5:23", &nixbuild.EvaluationError{Failures: []nixbuild.Failure{{Name: "git", Reason: nixbuild.NotFound}}}},
		{"Package is marked as broken", "5:16", &nixbuild.EvaluationError{Failures: []nixbuild.Failure{{Name: "coreutils", Reason: nixbuild.Broken}}}},
		{"Insecure package", "0:0", &nixbuild.EvaluationError{Failures: []nixbuild.Failure{{Name: "cacert", Reason: nixbuild.Insecure}}}},
		{"Package set", "1:11", &nixbuild.SourceError{}},
		{"Build of openssl-3.0.15 is broken", "0:0", &nixbuild.BuildError{Derivation: drv}},
		{"Build of openssl-3.0.15 is broken", "9:16", &nixbuild.BuildError{Derivation: drv, Packages: []string{"curl"}}},
		{"No machine for aarch64-linux", "6:28", &nixbuild.SystemError{Wanted: "aarch64-linux"}},
		{"No machine for x86_64-linux", "6:21", &nixbuild.SystemError{Wanted: "x86_64-linux"}},
		{"Nix is missing", "0:0", nixbuild.ErrNoNix},
		{"Registry refused", "4:17", &registry.Error{Kind: registry.Forbidden, Repository: "ghcr.io/acme/one", Err: errors.New("403")}},
		{"Not logged in", "8:17", &registry.Error{Kind: registry.Unauthorized, Repository: "index.docker.io/acme/two", Err: errors.New("401")}},
		{"Docker's daemon", "0:0", &publish.DaemonError{Host: publish.DefaultDaemon, Op: "loading images", Err: errors.New("no space")}},
		{"Unknown registry", "0:0", &registry.Error{Kind: registry.UnknownHost, Repository: "else.example/acme/one", Err: errors.New("dns")}},
		{"Bad input", "6:21", &publish.PlatformsError{Name: "one", Platforms: 2}},
		{"Bad input", "7:3", &publish.PlatformsError{Name: "two", Platforms: 2}},
		{"Bad input", "3:3", imageError{"one", usagef("nowhere")}},
		{"Popularity table", "10:26", &popularity.TableError{Source: "https://example.org/table.json", Err: errors.New("404")}},
		{"Popularity table", "0:0", &popularity.TableError{Err: errors.New("404")}},
		{"Cache is wrong", "0:0", &layers.MismatchError{}},
		{"Input push", "0:0", &actions.InputError{Input: "push"}},
		{"", "0:0", errors.New("anything else")},
	} {
		faults := faultsOf(withPlaces(fmt.Errorf("doing: %w", tc.err), s, s.Images))
		if len(faults) != 1 {
			t.Fatalf("%v: %+v", tc.err, faults)
		}
		f := faults[0]
		if at := fmt.Sprintf("%d:%d", f.line, f.column); f.title != tc.title || at != tc.at || f.message == "" {
			t.Errorf("%v: title %q at %s, want %q at %s", tc.err, f.title, at, tc.title, tc.at)
		}
		if f.line > 0 && f.file != s.File {
			t.Errorf("%v: file %q", tc.err, f.file)
		}
	}
}

// What is joined is told one by one, each at its place; without a file nothing has a place.
func TestFaultsAreToldOneByOne(t *testing.T) {
	s := loadText(t, specWithPlaces)
	err := withPlaces(errors.Join(imageError{"two", usagef("a")}, usagef("b"), &actions.InputError{Input: "x", Problem: "c"}), s, s.Images)
	want := []fault{
		{title: "Bad input", message: "a", file: s.File, line: 7, column: 3},
		{title: "Bad input", message: "b"},
		{title: "Input x", message: `input "x": c`},
	}
	if diff := cmp.Diff(want, faultsOf(err), cmp.AllowUnexported(fault{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !isBadInput(err) {
		t.Error("the user is not to blame")
	}
	s.File = ""
	for _, f := range faultsOf(withPlaces(err, s, s.Images))[:1] {
		if f.file != "" || f.line != 0 {
			t.Errorf("%+v", f)
		}
	}
}

// Why Nix broke off is no news when it was stopped.
func TestInterruptionIsOneFault(t *testing.T) {
	s := loadText(t, specWithPlaces)
	ctx, cancel := context.WithCancel(t.Context())
	broken := withPlaces(errors.Join(&nixbuild.BuildError{Derivation: drv, Packages: []string{"git"}}, errors.New("x")), s, s.Images)
	if got := interrupted(ctx, broken); got != broken {
		t.Errorf("it was not interrupted: %v", got)
	}
	cancel()
	faults := faultsOf(interrupted(ctx, broken))
	if len(faults) != 1 || faults[0].title != "Interrupted" || faults[0].line != 0 {
		t.Errorf("%+v", faults)
	}
	if interrupted(ctx, nil) != nil {
		t.Error("an error of nothing")
	}
}

// Each kind of fault has a title of its own.
func TestTitles(t *testing.T) {
	var all []string
	for _, reason := range []nixbuild.Reason{nixbuild.NotFound, nixbuild.Unfree, nixbuild.Broken, nixbuild.Insecure, nixbuild.Unsupported, nixbuild.NotDerivation, nixbuild.Failed} {
		all = append(all, packageTitles[reason])
	}
	for kind := registry.Other; kind <= registry.Unavailable; kind++ {
		all = append(all, registryTitles[kind])
	}
	slices.Sort(all)
	if all[0] == "" || len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Errorf("titles are %q", all)
	}
}
