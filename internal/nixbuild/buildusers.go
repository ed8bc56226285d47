package nixbuild

import (
	"fmt"
	"regexp"
)

// What Nix says to root where the users that it builds as do not exist, in its source unix/user-lock.cc: so it is with Debian's
// package, and with a Nix that was copied from somewhere.
var noBuildUsers = regexp.MustCompile(`specified in 'build-users-group' does not exist|the build users group '[^']*' has no members`)

func buildUsersError(exit *ExitError) error {
	for _, line := range exit.Stderr {
		if errorLine.MatchString(line) && noBuildUsers.MatchString(line) {
			return fmt.Errorf("root builds as other users, and this machine has none for that; put the line \"build-users-group =\" into "+
				"/etc/nix/nix.conf, or into the environment variable NIX_CONFIG, to let root build: %w", exit)
		}
	}
	return nil
}
