//go:build e2e

package nixbuild

import (
	"regexp"
	"strings"
	"testing"
)

// Nix has its tokens from NIX_CONFIG, which no expression can read.
func TestTokensOfNix(t *testing.T) {
	t.Setenv("PLANTED", "hunter2")
	nix := Exec{Env: []string{
		"NIX_CONFIG=sandbox = false\nbuild-users-group =\naccess-tokens = github.com=hunter2\nsubstituters = https://u:hunter3@cache.example\n",
		"HOME=" + t.TempDir(),
	}}
	for setting, want := range map[string]string{"access-tokens": "github.com=hunter2", "substituters": "https://u:hunter3@cache.example", "sandbox": "false"} {
		out, err := nix.Run(t.Context(), "nix", "--extra-experimental-features", "nix-command", "show-config")
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(setting + " = +" + regexp.QuoteMeta(want)).Match(out) {
			t.Errorf("%s is not %s", setting, want)
		}
	}
	for _, what := range []string{
		`builtins.getEnv "NIX_CONFIG"`, `builtins.getEnv "PLANTED"`, `builtins.readFile "/proc/self/environ"`, `builtins.readFile "/proc/self/fd/3"`,
	} {
		out, err := nix.Run(t.Context(), "nix-instantiate", "--eval", "--strict", "--expr", what)
		if text := string(out); strings.Contains(text, "hunter") || err != nil && strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %s, %v", what, text, err)
		}
	}
}
