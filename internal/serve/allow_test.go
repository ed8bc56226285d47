package serve

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/org/nixery-action/internal/nixbuild"
)

func allowing(rules ...string) func(*Options) { return func(o *Options) { o.Allow = rules } }

// A name that the rules match is served only if it leads to the derivation that the rules name.
func TestAllowComparesDerivations(t *testing.T) {
	r := newRegistry(t, allowing("twin", "git", "sdl", "7zz", "shell"))
	for _, served := range []string{"twin", "git", "GIT", "Git", "arm64/gIt", "SDL", "sdl", "7zz", "shell", "shell/GIT/twin"} {
		r.get("/v2/" + served + "/manifests/latest")
	}
	for _, refused := range []string{"TWIN", "arm64/TWIN", "shell/git/TWIN", "htop", "git.out", "pkgs.git", "Shell", "bashInteractive"} {
		answer := r.refuse(http.StatusForbidden, "DENIED", http.MethodGet, "/v2/"+refused+"/manifests/latest")
		if !strings.Contains(answer, "does not serve the package") {
			t.Errorf("%s: %s", refused, answer)
		}
	}
	// What was refused once is remembered; what another server's rules allowed is not an answer here.
	r.nix.forget()
	r.refuse(http.StatusForbidden, "DENIED", http.MethodGet, "/v2/TWIN/manifests/latest")
	if r.nix.count("") != 0 {
		t.Errorf("it took %v", r.nix.calls)
	}
	open := newRegistry(t, nil)
	open.get("/v2/TWIN/manifests/latest")
	open.change = allowing("twin")
	open.start()
	open.refuse(http.StatusForbidden, "DENIED", http.MethodGet, "/v2/TWIN/manifests/latest")
}

func TestPackagesOfAName(t *testing.T) {
	r := newRegistry(t, func(o *Options) { o.Packages = 3 })
	r.get("/v2/shell/git/htop/manifests/latest")
	r.get("/v2/git/git/git/htop/manifests/latest")
	r.nix.forget()
	r.refuse(http.StatusNotFound, "NAME_INVALID", http.MethodGet, "/v2/shell/git/htop/app/manifests/latest")
	many := newRegistry(t, nil)
	many.refuse(http.StatusNotFound, "NAME_INVALID", http.MethodGet, "/v2/"+distinct(65)+"/manifests/latest")
	if r.nix.count("")+many.nix.count("") != 0 {
		t.Error("a name with too many packages started a process")
	}
}

func distinct(n int) string {
	var names []string
	for i := range n {
		names = append(names, string(rune('a'+i%26))+string(rune('a'+i/26)))
	}
	return strings.Join(names, "/")
}

// However a package fails, one request runs Nix eight times at most, and its answer names what may be the cause.
func TestRunsOfARequest(t *testing.T) {
	r := newRegistry(t, nil)
	r.nix.before = func(_ context.Context, program string) error {
		if program != "nix-instantiate" || r.nix.count(program) == 2 { // but for the run that asks for nothing
			return nil
		}
		return &nixbuild.ExitError{Program: program, Status: "exit status 1", Stderr: []string{"error: evaluation aborted"}}
	}
	answer := r.refuse(http.StatusNotFound, "MANIFEST_UNKNOWN", http.MethodGet, "/v2/"+distinct(64)+"/manifests/latest")
	if runs := r.nix.count("nix-instantiate"); runs > 8 {
		t.Errorf("Nix ran %d times", runs)
	}
	if !strings.Contains(answer, "evaluation aborted") {
		t.Errorf("the answer is %s", answer)
	}
}

// An evaluation that takes too much is told as that, and the next request is served.
func TestLimitIsAnAnswer(t *testing.T) {
	r := newRegistry(t, nil)
	r.nix.before = func(_ context.Context, program string) error {
		if program != "nix-instantiate" || r.nix.count(program) > 1 {
			return nil
		}
		return &nixbuild.ExitError{Program: program, Status: "exit status 1", Stderr: []string{"error: out of memory"}}
	}
	answer := r.refuse(http.StatusInternalServerError, "UNKNOWN", http.MethodGet, "/v2/app/manifests/latest")
	if !strings.Contains(answer, "takes more memory than it may have") || r.nix.count("nix-instantiate") != 1 {
		t.Errorf("after %d runs the answer is %s", r.nix.count("nix-instantiate"), answer)
	}
	r.get("/v2/git/manifests/latest")
}
