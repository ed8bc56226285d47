package route

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/org/nixery-action/internal/nix"
)

// Name is what a client calls an image: packages, and before them what is not a package. It is made by ParseName only, so it holds
// nothing but the grammar.
type Name struct {
	packages     []string // sorted, each once; "shell" and "builder" are among them, as a spec has them
	architecture string   // that was asked for; empty if none was
}

const (
	maxName    = 255 // characters, of the whole name: what Docker's clients allow
	maxPackage = 128 // characters, of a component: what a spec allows
)

// component is <path-component> of the distribution specification 1.1, "Pulling manifests", with capital letters too: its clients
// cannot send them, and attributes of package sets have them.
var component = regexp.MustCompile(`^[A-Za-z0-9]+(([.]|_|__|-+)[A-Za-z0-9]+)*$`)

// Architectures are those that a name may begin with, and that there are images for.
var Architectures = nix.Architectures()

var metaPackages = []string{"shell", "builder"}

// ParseName reads a repository's name. What it returns as an error is fit to be shown.
func ParseName(s string) (Name, error) {
	if len(s) > maxName {
		return Name{}, fmt.Errorf("a name has at most %d characters", maxName)
	}
	components := strings.Split(s, "/")
	for _, c := range components {
		if len(c) > maxPackage || !component.MatchString(c) {
			return Name{}, fmt.Errorf("%.128q is not a package's name: want letters, digits, and between them single dots, one or two "+
				"underscores, or hyphens", c)
		}
	}
	return nameOf(components)
}

func nameOf(components []string) (Name, error) {
	var n Name
	for ; len(components) > 0; components = components[1:] {
		first := components[0]
		switch {
		case slices.Contains(metaPackages, first):
			n.packages = append(n.packages, first)
		case slices.Contains(Architectures, first) && n.architecture != "" && n.architecture != first:
			return Name{}, fmt.Errorf("a name has one architecture: %s and %s are two; leave them out, and clients get both", n.architecture, first)
		case slices.Contains(Architectures, first):
			n.architecture = first
		default:
			return n.with(components)
		}
	}
	return n.with(nil)
}

// with adds the packages proper.
func (n Name) with(packages []string) (Name, error) {
	for _, p := range packages {
		if slices.Contains(metaPackages, p) || slices.Contains(Architectures, p) {
			return Name{}, fmt.Errorf("%s comes before the packages, as in %s/%s", p, p, packages[0])
		}
	}
	n.packages = append(n.packages, packages...)
	if len(n.packages) == 0 {
		return Name{}, fmt.Errorf("a name has at least one package, as in %s/git", n.architecture)
	}
	slices.Sort(n.packages)
	n.packages = slices.Compact(n.packages)
	return n, nil
}

// Packages are what the image is to have, sorted, each once.
func (n Name) Packages() []string { return slices.Clone(n.packages) }

// String is one name for all that mean the same image: it differs where the image may.
func (n Name) String() string {
	if n.architecture == "" {
		return n.Image()
	}
	return n.architecture + "/" + n.Image()
}

// Architecture is the one that was asked for, or empty.
func (n Name) Architecture() string { return n.architecture }

// Image is the name without its architecture. Meta-packages lead, so that it can be pulled.
func (n Name) Image() string {
	var meta, rest []string
	for _, p := range n.packages {
		if slices.Contains(metaPackages, p) {
			meta = append(meta, p)
		} else {
			rest = append(rest, p)
		}
	}
	return strings.Join(append(meta, rest...), "/")
}
