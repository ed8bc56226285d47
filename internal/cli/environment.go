package cli

import (
	"os"
	"regexp"
	"strings"

	"github.com/org/nixery-action/internal/nixbuild"
)

// passOn names the variable that lists further variables for Nix and git, see docs/nix.md.
const passOn = "NIXERY_NIX_ENV"

// newNix is this machine's Nix, and git. Both get what they need of the environment, and what the user lists. There is no terminal
// for git's questions: their answers must be in a credential helper.
func newNix(c *console) (nixbuild.Exec, error) {
	further, err := nixbuild.ParseVariables(os.Getenv(passOn))
	if err != nil {
		return nixbuild.Exec{}, usagef("%s: %w", passOn, err)
	}
	if names := nixbuild.Withheld(os.Environ(), further); len(names) > 0 {
		c.log.Warn("git settings in the environment are withheld from git and Nix, since expressions and builders can read theirs; list what they need in "+passOn,
			"names", strings.Join(names, " "))
	}
	return nixbuild.Exec{Pass: further, Env: []string{"GIT_TERMINAL_PROMPT=0"}}, nil
}

// atStart matches what the Go runtime and libraries read before main.
var atStart = regexp.MustCompile(`^(GOCOVERDIR|GODEBUG|GOGC|GOMAXPROCS|GOMEMLIMIT|GORACE|GOTRACEBACK|NO_COLOR)$`)

// withLogin matches a URL with a name or password in it.
var withLogin = regexp.MustCompile(`://[^/\s]*@`)

// openEnvironment is what all may read of the environment.
func openEnvironment(environ []string) []string {
	var open []string
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if (nixbuild.Passed(name) || atStart.MatchString(name)) && name != "NIX_CONFIG" && !withLogin.MatchString(value) {
			open = append(open, pair)
		}
	}
	return open
}
