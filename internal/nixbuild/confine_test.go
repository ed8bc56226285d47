package nixbuild

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// counting wants the calls of a runner to be few.
func counting(t *testing.T, r *fakeRunner, most int) {
	t.Helper()
	if len(r.calls) > most {
		t.Errorf("Nix ran %d times, of at most %d", len(r.calls), most)
	}
}

// However many packages end the evaluation, Nix runs as often as it may, and the error names every package that may be the cause.
func TestRunsAreBounded(t *testing.T) {
	const runs = 8
	for _, version := range versions {
		for _, count := range []int{1, 2, 3, 64, 128} {
			var names []string
			bad := map[string]string{}
			for i := range count {
				names = append(names, fmt.Sprintf("p%d", i))
			}
			for _, culprits := range [][]string{names, names[:1], names[count-1:], {names[0], names[count-1]}} {
				clear(bad)
				for _, name := range culprits {
					bad[name] = "eval-aborts.stderr"
				}
				r := spoiled(t, version, bad)
				_, _, err := Evaluate(t.Context(), AtMost(r, runs), Source{Path: "/tiny"}, wantAll(names...))
				failed, ok := errors.AsType[*EvaluationError](err)
				if !ok {
					t.Fatalf("error is %v", err)
				}
				counting(t, r, runs)
				if !slices.ContainsFunc(failed.Failures, func(f Failure) bool { return slices.Contains(culprits, f.Name) }) {
					t.Errorf("of %d packages, %d abort, and none of these is named: %v", count, len(culprits), err)
				}
				mustContain(t, err.Error(), "tiny.aborts gives up")
			}
		}
	}
}

// Packages that are not told apart are one line, with what Nix said.
func TestSuspects(t *testing.T) {
	r := spoiled(t, "nix-2.26", map[string]string{"d": "eval-aborts.stderr"})
	_, _, err := Evaluate(t.Context(), AtMost(r, 3), Source{Path: "/tiny"}, wantAll("a", "b", "c", "d"))
	mustContain(t, err.Error(), "at least one of these packages does not evaluate: c, d ("+linux+") (evaluation aborted")
	if strings.Contains(err.Error(), "a, b") {
		t.Errorf("what evaluates is suspected: %v", err)
	}
	// A failure that is certain comes without those that are not.
	r = spoiled(t, "nix-2.26", map[string]string{"a": "eval-aborts.stderr", "d": "eval-aborts.stderr"})
	_, _, err = Evaluate(t.Context(), AtMost(r, 4), Source{Path: "/tiny"}, wantAll("a", "b", "c", "d"))
	failed, ok := errors.AsType[*EvaluationError](err)
	if !ok || len(failed.Failures) != 1 || failed.Failures[0].Name != "a" || failed.Failures[0].Reason != Failed {
		t.Errorf("error is %v", err)
	}
	// What follows in the same request cannot run Nix at all.
	r = spoiled(t, "nix-2.26", nil)
	bounded := AtMost(r, 1)
	if _, _, err := Evaluate(t.Context(), bounded, Source{Path: "/tiny"}, wantAll("a")); err != nil {
		t.Error(err)
	}
	if _, _, err := Evaluate(t.Context(), bounded, Source{Path: "/tiny"}, wantAll("a")); !errors.Is(err, ErrRuns) {
		t.Errorf("error is %v", err)
	}
}

// What takes too much is said at once: another try would take as much again.
func TestLimits(t *testing.T) {
	for want, exit := range map[string]ExitError{
		"memory":         {Status: "exit status 1", Stderr: []string{"GC Warning: Out of Memory! Heap size: 384 MiB. Returning NULL!", "error: out of memory"}},
		"processor time": {Status: outOfTime},
	} {
		r := &fakeRunner{answer: func([]string) ([]byte, error) { return nil, &exit }}
		_, _, err := Evaluate(t.Context(), r, Source{Path: "/tiny"}, wantAll("a", "b"))
		if limit, ok := errors.AsType[*LimitError](err); !ok || limit.What != want {
			t.Errorf("error is %v, want one of %s", err, want)
		}
		counting(t, r, 1)
	}
	quoted := &ExitError{Status: "exit status 1", Stderr: []string{"error: tiny says 'error: out of memory'"}}
	if what := quoted.exceeded(); what != "" {
		t.Errorf("a message of a package is taken for a lack of %s", what)
	}
}

// An expression that strangers wrote sees neither addresses nor credentials, and no path but its own and those that are allowed.
func TestRestricted(t *testing.T) {
	const secret = "hunter2"
	fetched := string(fakePath("source"))
	var requests []string
	inner := spoiled(t, "nix-2.26", nil)
	r := &fakeRunner{}
	r.answer = func(args []string) ([]byte, error) {
		text, err := os.ReadFile(args[slices.Index(args, "--argstr")+2])
		if err != nil {
			t.Fatal(err)
		}
		requests = append(requests, string(text))
		if strings.Contains(string(text), `"fetch":true`) {
			return json.Marshal(map[string]string{"source": fetched})
		}
		return inner.answer(args)
	}
	c := Confinement{Restrict: true, Allow: []string{"/srv/more", "https://example.org/pins/"}}
	src := Source{Git: &Git{URL: "https://me:" + secret + "@example.org/pkgs.git", Ref: "refs/heads/main"}}
	if _, _, err := c.Evaluate(t.Context(), r, src, wantAll("a")); err != nil {
		t.Fatal(err)
	}
	if len(requests) != 2 || strings.Contains(requests[1], secret) || strings.Contains(requests[1], "example.org") || !strings.Contains(requests[1], fetched) {
		t.Fatalf("requests are %q", requests)
	}
	if first := strings.Join(r.calls[0], " "); strings.Contains(first, "restrict-eval") {
		t.Errorf("fetching is restricted: %s", first)
	}
	second := strings.Join(r.calls[1], " ")
	mustContain(t, second, "--option restrict-eval true", "--option nix-path  ", "--option allowed-uris https://example.org/pins/ ",
		"--option allow-import-from-derivation false", "="+fetched, "=/srv/more")
	if got := strings.Count(second, " -I "); got != 3 {
		t.Errorf("%d paths may be read: %s", got, second)
	}

	if _, _, err := c.Evaluate(t.Context(), r, Source{Flake: "github:owner/repo"}, wantAll("a")); !errors.Is(err, ErrRestrictedFlake) {
		t.Errorf("of a flake the error is %v", err)
	}
	for answer, want := range map[string]string{`{"source":"/etc"}`: "is not a store path", "no JSON": "reading what nix-instantiate printed"} {
		r := &fakeRunner{answer: func([]string) ([]byte, error) { return []byte(answer), nil }}
		if _, _, err := c.Evaluate(t.Context(), r, src, wantAll("a")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
	broken := &fakeRunner{answer: func([]string) ([]byte, error) {
		return nil, &ExitError{Stderr: []string{"error: unable to read https://me:" + secret + "@example.org/pkgs.git"}}
	}}
	_, _, err := c.Evaluate(t.Context(), broken, src, wantAll("a"))
	if _, ok := errors.AsType[*SourceError](err); !ok || strings.Contains(err.Error(), secret) {
		t.Errorf("error is %v", err)
	}
}
