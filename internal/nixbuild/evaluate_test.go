package nixbuild

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const linux = "x86_64-linux"

func wantAll(names ...string) []Want {
	var wants []Want
	for _, name := range names {
		wants = append(wants, Want{Name: name, System: linux})
	}
	return wants
}

// readRequest is what eval.nix would read for these arguments.
func readRequest(t *testing.T, args []string) request {
	t.Helper()
	text, err := os.ReadFile(args[slices.Index(args, "request")+1])
	if err != nil {
		t.Fatal(err)
	}
	var req request
	if err := json.Unmarshal(text, &req); err != nil {
		t.Fatal(err)
	}
	return req
}

func TestEvaluateRecorded(t *testing.T) {
	wants := []Want{{Name: "app", System: linux}, {Name: "7zz", System: linux}, {Name: "ap", System: linux, Optional: true},
		{Name: "unfree", System: linux}, {Name: "python3packages.reqests", System: linux}}
	for _, version := range versions {
		r := &fakeRunner{answer: func([]string) ([]byte, error) { return []byte(recorded(t, version, "eval.json")), nil }}
		_, _, err := Evaluate(t.Context(), r, Source{Path: "/tiny"}, wants)
		var failed *EvaluationError
		if !errors.As(err, &failed) {
			t.Fatalf("error is %v", err)
		}
		want := []Failure{
			{Name: "unfree", System: linux, Reason: Unfree, Message: "Tiny Proprietary License"},
			{Name: "python3packages.reqests", System: linux, Reason: NotFound, Near: []string{"python3Packages.requests"}},
		}
		if !reflect.DeepEqual(failed.Failures, want) || failed.Source != "path /tiny" {
			t.Errorf("%s: failures are %+v", version, failed)
		}
		if len(r.calls) != 1 {
			t.Errorf("Nix ran %d times", len(r.calls))
		}
	}
}

func TestEvaluateSuccess(t *testing.T) {
	app := answer{Drv: string(fakePath("app.drv")), Out: string(fakePath("app")), Output: "bin"}
	r := &fakeRunner{answer: func([]string) ([]byte, error) {
		return json.Marshal(map[string]any{"places": map[string]any{}, "answers": []any{
			map[string]any{"reason": "not found", "missing": "cacert", "level": []string{}},
			map[string]any{"drv": app.Drv, "out": app.Out, "output": app.Output},
		}})
	}}
	wants := []Want{{Name: "cacert", System: linux, Optional: true}, {Name: "app", System: linux}}
	packages, absent, err := Evaluate(t.Context(), r, Source{Channel: "nixos-25.11"}, wants)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Package{Name: "app", System: linux, Drv: fakePath("app.drv"), Output: "bin", Out: fakePath("app")}); !slices.Equal(packages, []Package{want}) {
		t.Errorf("packages are %+v", packages)
	}
	if !slices.Equal(absent, wants[:1]) {
		t.Errorf("absent are %+v", absent)
	}
}

// What a user wrote must not be seen by the parser of Nix, nor as an option.
func TestEvaluateSendsData(t *testing.T) {
	evil := `x"; abort "pwned"; "${builtins.readFile "/etc/shadow"}`
	src := Source{Git: &Git{URL: "https://example.org/" + evil, Ref: "--" + evil}, Config: map[string]any{evil: evil}, Overlays: []string{"/" + evil}}
	var req request
	r := &fakeRunner{answer: func(args []string) ([]byte, error) {
		for _, arg := range args {
			if strings.Contains(arg, "pwned") {
				t.Errorf("an argument is %q", arg)
			}
		}
		text, err := os.ReadFile(args[len(args)-1])
		if err != nil || string(text) != string(evalNix) {
			t.Errorf("the expression is not eval.nix: %v", err)
		}
		req = readRequest(t, args)
		return nil, errors.New("enough")
	}}
	if _, _, err := Evaluate(t.Context(), r, src, wantAll("--"+evil, "a.b", "a.c")); err == nil || !strings.Contains(err.Error(), "enough") {
		t.Fatal(err)
	}
	if !slices.Equal(req.Wants[1].Path, []string{"a", "b"}) || req.Wants[1].System != linux || len(req.Wants) != 3 {
		t.Errorf("wants are %+v", req.Wants)
	}
	if req.Source.Ref != "--"+evil || req.Config[evil] != evil || !slices.Equal(req.Given, []string{"config", "overlays"}) {
		t.Errorf("request is %+v", req)
	}
	if !slices.Equal(req.Systems, []string{linux}) {
		t.Errorf("systems are %q", req.Systems)
	}
}

func TestEvaluateLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	r := &fakeRunner{answer: func([]string) ([]byte, error) { return nil, errors.New("enough") }}
	if _, _, err := Evaluate(t.Context(), r, Source{Path: "/x"}, nil); err == nil {
		t.Fatal("no error")
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// spoiled is a Nix that dies as recorded when one of the bad ones is asked for.
func spoiled(t *testing.T, version string, bad map[string]string) *fakeRunner {
	return &fakeRunner{answer: func(args []string) ([]byte, error) {
		req := readRequest(t, args)
		rep := reply{Answers: []answer{}}
		for _, w := range req.Wants {
			name := strings.Join(w.Path, ".")
			switch file, isBad := bad[name]; {
			case isBad && (file == "eval-aborts.stderr" || file == "eval-wrongType.stderr" || !req.Catch):
				return nil, failing(t, version, file)
			case isBad:
				rep.Answers = append(rep.Answers, answer{Reason: Failed})
			default:
				rep.Answers = append(rep.Answers, answer{Drv: string(fakePath(name + ".drv")), Out: string(fakePath(name)), Output: "out"})
			}
		}
		return json.Marshal(struct {
			Answers []answer `json:"answers"`
		}{rep.Answers})
	}}
}

func TestEvaluateFindsWhatCannotBeCaught(t *testing.T) {
	bad := map[string]string{
		"aborts": "eval-aborts.stderr", "wrongType": "eval-wrongType.stderr",
		"throws": "eval-throws.stderr", "needsUnfree": "eval-needsUnfree.stderr",
	}
	want := []Failure{
		{Name: "aborts", Reason: Failed, Message: "evaluation aborted with the following error message: 'tiny.aborts gives up'"},
		{Name: "throws", Reason: Failed, Message: "tiny.throws was removed: use tiny.app instead"},
		{Name: "wrongType", Reason: Failed, Message: "cannot add a string to an integer\nat /example/tiny/default.nix:184:48:"},
		{Name: "needsUnfree", Reason: Unfree, Message: "Package ‘tiny-unfree-1.0’ in /tiny/default.nix:1 has an unfree license (‘tiny’), refusing to evaluate."},
	}
	for _, version := range versions {
		r := spoiled(t, version, bad)
		_, _, err := Evaluate(t.Context(), r, Source{Path: "/tiny"}, wantAll("a", "aborts", "b", "throws", "c", "wrongType", "d", "e", "needsUnfree"))
		var failed *EvaluationError
		if !errors.As(err, &failed) {
			t.Fatalf("%s: error is %v", version, err)
		}
		for i := range want {
			want[i].System = linux
		}
		if !reflect.DeepEqual(failed.Failures, want) {
			t.Errorf("%s: failures are\n%+v", version, failed.Failures)
		}
	}
}

func TestEvaluateSourceError(t *testing.T) {
	secret := "hunter2"
	r := &fakeRunner{answer: func([]string) ([]byte, error) {
		return nil, &ExitError{Program: "nix-instantiate", Stderr: []string{
			"fetching …", "error: unable to read https://me:" + secret + "@example.org/pkgs.git", "(use '--show-trace' to show detailed location information)"}}
	}}
	_, _, err := Evaluate(t.Context(), r, Source{Git: &Git{URL: "https://me:" + secret + "@example.org/pkgs.git", Ref: "main"}}, wantAll("a", "b"))
	var source *SourceError
	if !errors.As(err, &source) {
		t.Fatalf("error is %v", err)
	}
	if strings.Contains(err.Error(), secret) || strings.Contains(source.Message, secret) {
		t.Errorf("the password is in %q", err)
	}
	mustContain(t, err.Error(), "git repository https://***@example.org/pkgs.git at main: unable to read https://")
	if len(r.calls) != 2 {
		t.Errorf("Nix ran %d times", len(r.calls))
	}
}

func TestEvaluatePassesOtherErrors(t *testing.T) {
	cause := errors.New("cancelled")
	for _, version := range versions {
		calls := 0
		inner := spoiled(t, version, map[string]string{"aborts": "eval-aborts.stderr"})
		r := &fakeRunner{answer: func(args []string) ([]byte, error) {
			if calls++; calls == 3 {
				return nil, cause
			}
			return inner.answer(args)
		}}
		if _, _, err := Evaluate(t.Context(), r, Source{Path: "/tiny"}, wantAll("aborts", "b")); !errors.Is(err, cause) {
			t.Errorf("error is %v", err)
		}
	}
}

func TestEvaluateDistrustsTheAnswer(t *testing.T) {
	for answer, want := range map[string]string{
		`{"answers":[]}`:                         "0 answers for 1 packages",
		`no JSON`:                                "reading what nix-instantiate printed",
		`{"answers":[{"drv":"/etc","out":"x"}]}`: `"/etc" is not a store path`,
		`{"answers":[{"drv":"` + string(fakePath("a.drv")) + `","out":"/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9"}]}`: "its output",
	} {
		r := &fakeRunner{answer: func([]string) ([]byte, error) { return []byte(answer), nil }}
		_, _, err := Evaluate(t.Context(), r, Source{Path: "/tiny"}, wantAll("a"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v", answer, err)
		}
	}
}

func TestFlakesNeedTheirFeature(t *testing.T) {
	r := &fakeRunner{answer: func([]string) ([]byte, error) { return []byte(`{"answers":[]}`), nil }}
	for _, src := range []Source{{Flake: "github:owner/repo"}, {Path: "/x"}} {
		if _, _, err := Evaluate(t.Context(), r, src, nil); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Contains(r.calls[0], "nix-command flakes") || slices.Contains(r.calls[1], "nix-command flakes") {
		t.Errorf("calls are %q", r.calls)
	}
}
