package nixbuild

import (
	"strings"
	"testing"
)

// Each says what, where, and what to do.
func TestFailureTexts(t *testing.T) {
	for want, f := range map[string]Failure{
		`package "gti" (s) does not exist; did you mean git, gitg or gtk?`:                                                   {Reason: NotFound, Name: "gti", Near: []string{"git", "gitg", "gtk"}},
		`package "gti" (s) does not exist; did you mean git?`:                                                                {Reason: NotFound, Name: "gti", Near: []string{"git"}},
		`package "zz" (s) does not exist; search.nixos.org/packages lists the names of nixpkgs`:                              {Reason: NotFound, Name: "zz"},
		`package "a" (s) is unfree (BSL11); to accept its licence, set allowUnfree: true in the spec's nixpkgs.config`:       {Reason: Unfree, Name: "a", Message: "BSL11"},
		`package "a" (s) is not available for this system (only for t); leave out the package or the architecture`:           {Reason: Unsupported, Name: "a", Message: "only for t"},
		`package "a" (s) is not a package but a set; name a package in it, as in set.package`:                                {Reason: NotDerivation, Name: "a", Message: "set"},
		`package "a" (s) does not evaluate: was removed`:                                                                     {Reason: Failed, Name: "a", Message: "was removed"},
		`package "a" (s) does not evaluate, as others do not; mend those first`:                                              {Reason: Failed, Name: "a"},
		`package "a" (s) is marked as broken; choose another version, or set allowBroken: true in the spec's nixpkgs.config`: {Reason: Broken, Name: "a"},
	} {
		f.System = "s"
		if got := f.String(); got != want {
			t.Errorf("%+v says\n%s", f, got)
		}
	}
}

func TestEvaluationErrorJoinsSystems(t *testing.T) {
	err := &EvaluationError{Source: "channel c", Failures: []Failure{
		{Name: "a", System: "s", Reason: NotFound}, {Name: "b", System: "s", Reason: Broken}, {Name: "a", System: "t", Reason: NotFound},
	}}
	want := "channel c: 2 packages cannot be had:\n" + Failure{Name: "a", System: "s, t", Reason: NotFound}.String() +
		"\n" + Failure{Name: "b", System: "s", Reason: Broken}.String()
	if err.Error() != want {
		t.Errorf("says\n%s", err)
	}
	if err.Failures[0].System != "s" {
		t.Error("the failures were changed")
	}
}

func TestReasonIn(t *testing.T) {
	for message, want := range map[string]Reason{
		"Package ‘unrar-7.1.6’ in /nix/store/x/default.nix:42 has an unfree license (‘unfree’), refusing to evaluate.":                      Unfree,
		"Package ‘x-1’ in y:1 is marked as broken, refusing to evaluate.":                                                                   Broken,
		"Package ‘x-1’ in y:1 is not available on the requested hostPlatform:\n  hostPlatform.config = \"aarch64-unknown-linux-gnu\"":       Unsupported,
		"Package ‘x-1’ in y:1 is not supported on ‘aarch64-linux’, refusing to evaluate.":                                                   Unsupported,
		"Package ‘openssl-1.1.1w’ in y:1 is marked as insecure, refusing to evaluate.\n\nKnown issues:\n - OpenSSL 1.1 is reaching its end": Insecure,
		"attribute 'x' missing": Failed,
	} {
		if got := reasonIn(message); got != want {
			t.Errorf("%q is %q", message, got)
		}
	}
}

func TestNixMessage(t *testing.T) {
	for stderr, want := range map[string]string{
		"":                               "",
		"no error here\nbut a last line": "no error here\nbut a last line",
		"fatal: first\nfatal: no such branch\nfatal: give up\nerror: program 'git' failed with exit code 128\n(use '--show-trace' to show detailed location information)":               "program 'git' failed with exit code 128\nfatal: no such branch\nfatal: give up",
		"error:\n       … while calling\n         at «string»:1:1:\n            1| x\n             | ^\n\n       error: attribute 'x' missing\n       at /a.nix:1:2:\n            1| x": "attribute 'x' missing\nat /a.nix:1:2:",
		"error: " + strings.Repeat("line\n", 50): strings.TrimSuffix(strings.Repeat("line\n", maxMessage), "\n"),
	} {
		if got := nixMessage(strings.Split(stderr, "\n")); got != want {
			t.Errorf("%q gives %q", stderr, got)
		}
	}
}
