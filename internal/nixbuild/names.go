package nixbuild

import "slices"

// Always are the packages that every image gets: TLS roots, and the names of
// protocols and ports. A package set may lack them; ask for them as Optional.
var Always = []string{"cacert", "iana-etc"}

var (
	shellPackages   = []string{"bashInteractive", "coreutils", "moreutils", "nano"}
	builderPackages = append([]string{"stdenv"}, shellPackages...)
)

// Expand replaces the meta names "shell" and "builder" by the packages they
// stand for, as Nixery does. The result is sorted, each name once; shell tells
// whether an interactive shell was asked for.
func Expand(names []string) (packages []string, shell bool) {
	for _, name := range names {
		switch name {
		case "shell":
			shell = true
			packages = append(packages, shellPackages...)
		case "builder":
			shell = true
			packages = append(packages, builderPackages...)
		default:
			packages = append(packages, name)
		}
	}
	slices.Sort(packages)
	return slices.Compact(packages), shell
}
