package nixinstall

import (
	"os"
	"path/filepath"
)

// profile is the directory of links that installers make for all users, below /nix.
const profile = "var/nix/profiles/default"

// Find returns the directory with the programs of a Nix that an installer left on
// this machine, for those who have not got it on PATH: a step that ran before a
// shell read its new profile. home may be empty.
func Find(home string) (bin string, ok bool) { return find("/nix", home) }

func find(root, home string) (string, bool) {
	places := []string{filepath.Join(root, profile)}
	if home != "" {
		places = append(places, filepath.Join(home, ".nix-profile"), filepath.Join(home, ".local/state/nix/profile"))
	}
	for _, place := range places {
		bin := filepath.Join(place, "bin")
		if found, err := os.Stat(filepath.Join(bin, "nix-store")); err == nil && found.Mode()&0o111 != 0 {
			return bin, true
		}
	}
	return "", false
}
