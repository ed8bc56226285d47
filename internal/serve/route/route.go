// Package route turns a request's path into what it is about: a manifest or blob of a named image, with its reference. It stands apart
// so that all that strangers write is read in one place, which knows of nothing else.
//
// The invariant: a [Name] and a digest that come out of it hold nothing but their grammar.
package route

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/nix"
)

// What is that which a path leads to.
type What string

// What there is to be had of an image: the distribution specification 1.1, "Endpoints".
const (
	Manifest  What = "manifests"
	Blob      What = "blobs"
	Referrers What = "referrers"
	Tags      What = "tags"
)

// Route is a path's parts, as they were written: Name for ParseName; Reference is a digest, for a manifest also a tag, and empty for
// Tags.
type Route struct {
	What            What
	Name, Reference string
}

// Parse takes a path below /v2/ apart. What it leads to is told by its end, as a package may be called blobs. It is false if it leads
// nowhere.
func Parse(path string) (Route, bool) {
	rest, below := strings.CutPrefix(path, "/v2/")
	parts := strings.Split(rest, "/")
	if !below || len(parts) < 3 {
		return Route{}, false
	}
	name := strings.Join(parts[:len(parts)-2], "/")
	what, reference := What(parts[len(parts)-2]), parts[len(parts)-1]
	switch what {
	case Tags:
		return Route{Tags, name, ""}, reference == "list"
	case Manifest, Blob, Referrers:
		return Route{what, name, reference}, true
	}
	return Route{}, false
}

// WellFormed is false if there can be no manifest of this reference, as it is neither a tag nor a digest.
func (r Route) WellFormed() bool {
	if r.What != Manifest || !r.ByDigest() {
		return true
	}
	_, err := ParseDigest(r.Reference)
	return err == nil
}

// ByDigest tells a reference that is meant to be a digest from a tag, which has no colon.
func (r Route) ByDigest() bool { return strings.Contains(r.Reference, ":") }

// ErrNoDigest says that a reference is no digest that there may be a blob of.
var ErrNoDigest = errors.New("a digest is sha256: and 64 hexadecimal digits, in lower case")

// ParseDigest reads a digest. The error is ErrNoDigest.
func ParseDigest(reference string) (v1.Hash, error) {
	digest, err := v1.NewHash(reference)
	if err != nil || digest.Algorithm != "sha256" {
		return v1.Hash{}, ErrNoDigest
	}
	return digest, nil
}

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

// ruleForm: a name with dots, and at the end of each component perhaps a star.
var ruleForm = regexp.MustCompile(`^([A-Za-z0-9_][A-Za-z0-9_+-]*\*?|\*)(\.([A-Za-z0-9_+-]+\*?|\*))*$`)

// CheckRule says what is wrong with a rule of [Name.Allowed].
func CheckRule(rule string) error {
	if len(rule) > maxName || !ruleForm.MatchString(rule) {
		return fmt.Errorf("want a package, as in git or python3Packages.requests, where * at the end of a component is the rest of it; found %.100q", rule)
	}
	return nil
}

// Allowed reads a list of rules; an empty one allows all. A rule matches a
// package that has as many components, each of them alike but for case, which is
// ignored as when a package is looked up; a star matches the rest of its
// component, and no dot.
//
// A match is of names only. So plain has, for each package that is spelled
// otherwise than the rules spell it, what they call it: it is allowed only if it
// is the same derivation as one of these. denied is the first package that no
// rule matches; "" if there is none.
func (n Name) Allowed(rules []string) (plain map[string][]string, denied string) {
	if len(rules) == 0 {
		return nil, ""
	}
	plain = map[string][]string{}
	for _, p := range n.packages {
		var spelled []string
		for _, rule := range rules {
			if s, ok := spell(p, rule); ok {
				spelled = append(spelled, s)
			}
		}
		switch {
		case len(spelled) == 0:
			return nil, p
		case !slices.Contains(spelled, p):
			plain[p] = spelled
		}
	}
	return plain, ""
}

// spell gives a package's name as a rule that matches it has it. Meta-packages
// are no packages: shell is one, and Shell would be a package.
func spell(pkg, rule string) (string, bool) {
	folded := strings.ToLower(rule)
	if slices.Contains(metaPackages, folded) {
		return pkg, pkg == folded
	}
	parts, components := strings.Split(rule, "."), strings.Split(pkg, ".")
	if len(parts) != len(components) {
		return "", false
	}
	for i, part := range parts {
		literal, open := strings.CutSuffix(part, "*")
		component := components[i]
		if i == 0 && leadsToDigit(literal) { // git finds no _git, but 7zz finds _7zz
			component = "_" + component
		}
		if len(component) < len(literal) || !strings.EqualFold(component[:len(literal)], literal) || !open && len(component) > len(literal) {
			return "", false
		}
		components[i] = literal + component[len(literal):]
	}
	return strings.Join(components, "."), true
}

func leadsToDigit(literal string) bool {
	return len(literal) > 1 && literal[0] == '_' && literal[1] >= '0' && literal[1] <= '9'
}
