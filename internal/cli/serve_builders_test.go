package cli

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/serve/settings"
)

// saidBy is a Nix that answers the question for its settings, as one before 2.20 does if it is old.
type saidBy struct {
	text string
	old  bool
	args *[]string
}

func (s saidBy) Run(_ context.Context, args ...string) ([]byte, error) {
	if s.args != nil {
		*s.args = args
	}
	if s.text == "" || s.old == slices.Contains(args, "config") {
		return nil, &nixbuild.ExitError{Program: args[0], Status: "exit status 1"}
	}
	return []byte(s.text), nil
}

// Strangers' builders run without a sandbox only if the settings say so in so many words; what cannot be found out is no sandbox.
func TestBuildersOfStrangers(t *testing.T) {
	setting := func(sandbox, users string) string {
		return `{"sandbox":{"value":` + sandbox + `},"build-users-group":{"value":"` + users + `"}}`
	}
	for text, safe := range map[string]bool{
		setting("true", "nixbld"): true, setting(`"true"`, ""): true, setting("false", "nixbld"): false, setting("false", ""): false,
		setting(`"relaxed"`, "nixbld"): false, setting("null", ""): false, "{}": false, "no JSON": false, "": false,
	} {
		for _, old := range []bool{true, false} {
			for _, exposure := range []struct{ public, unsafe bool }{{false, false}, {true, false}, {true, true}, {false, true}} {
				var log strings.Builder
				s := settings.Settings{Public: exposure.public, Evaluation: settings.Evaluation{Unsafe: exposure.unsafe}}
				err := checkBuilders(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), s, saidBy{text: text, old: old})
				refused := errors.As(err, new(usageError))
				if want := !safe && exposure.public && !exposure.unsafe; refused != want {
					t.Errorf("%s, %+v: error is %v", text, exposure, err)
				}
				if warned := strings.Contains(log.String(), "builders are"); warned != (!safe && !refused) {
					t.Errorf("%s, %+v: the log is %q", text, exposure, log.String())
				}
			}
		}
	}
}

// A kernel without what a sandbox needs ends the build, and nothing else is changed.
func TestSandboxIsStrict(t *testing.T) {
	var args []string
	r := strictSandbox{saidBy{text: "x", old: true, args: &args}}
	for program, strict := range map[string]bool{"nix-build": true, "nix-instantiate": true, "nix-store": false, "git": false} {
		if _, err := r.Run(t.Context(), program, "--x"); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(args, " "); strings.Contains(got, "--option sandbox-fallback false") != strict || !strings.HasSuffix(got, " --x") {
			t.Errorf("%s", got)
		}
	}
}
