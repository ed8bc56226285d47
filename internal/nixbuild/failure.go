package nixbuild

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/org/nixery-action/internal/suggest"
)

// Reason is why a package cannot be had.
type Reason string

// The reasons. Their texts are also those of eval.nix.
const (
	NotFound      Reason = "not found"
	Unfree        Reason = "unfree"
	Broken        Reason = "broken"
	Insecure      Reason = "insecure"
	Unsupported   Reason = "unsupported" // on that system
	NotDerivation Reason = "not a derivation"
	Failed        Reason = "failed" // to evaluate, for any other reason
	// Suspect is one of several that end an evaluation, of which at least one
	// fails: finding out which would take too many runs of Nix.
	Suspect Reason = "not told apart"
)

// Failure is one package that cannot be had on one system.
type Failure struct {
	Name    string
	System  string
	Reason  Reason
	Message string   // particulars, or what Nix said; may be empty or have several lines
	Near    []string // NotFound: names that exist and are alike, nearest first, at most three
}

// EvaluationError says which packages of a source cannot be had. Failures are
// in the order in which the packages were wanted.
type EvaluationError struct {
	Source   string
	Failures []Failure
}

func (e *EvaluationError) Error() string {
	var lines []string
	for _, f := range e.Joined() {
		lines = append(lines, f.String())
	}
	if len(lines) == 1 {
		return e.Source + ": " + lines[0]
	}
	return fmt.Sprintf("%s: %d packages cannot be had:\n%s", e.Source, len(lines), strings.Join(lines, "\n"))
}

// Joined is Failures with those that differ in their system only made one,
// whose System lists them. Those that are not told apart are one too, whose
// Name lists them.
func (e *EvaluationError) Joined() []Failure {
	var joined []Failure
	for _, f := range e.Failures {
		same := func(other Failure) bool {
			return other.Name == f.Name && other.Reason == f.Reason && other.Message == f.Message && slices.Equal(other.Near, f.Near)
		}
		if i := slices.IndexFunc(joined, same); i >= 0 {
			joined[i].System += ", " + f.System
			continue
		}
		together := func(other Failure) bool { return f.Reason == Suspect && other.Reason == Suspect }
		if i := slices.IndexFunc(joined, together); i >= 0 {
			joined[i].Name = addWord(joined[i].Name, f.Name)
			joined[i].System = addWord(joined[i].System, f.System)
			continue
		}
		joined = append(joined, f)
	}
	return joined
}

// addWord adds to a list in words what it does not have.
func addWord(list, word string) string {
	if slices.Contains(strings.Split(list, ", "), word) {
		return list
	}
	return list + ", " + word
}

// SourceError is a package source that cannot be fetched or read, or is not a
// set of packages.
type SourceError struct {
	Source  string // named without credentials
	Message string // what Nix said
	cause   error
}

func (e *SourceError) Error() string {
	return fmt.Sprintf("reading the package set of %s: %s", e.Source, e.Message)
}

func (e *SourceError) Unwrap() error { return e.cause }

// String says what is wrong, with what, and what to do about it.
func (f Failure) String() string {
	what := fmt.Sprintf("package %q (%s) ", f.Name, f.System)
	detail := ""
	if f.Message != "" {
		detail = " (" + f.Message + ")"
	}
	switch f.Reason {
	case NotFound:
		return what + "does not exist" + f.didYouMean()
	case Unfree:
		return what + "is unfree" + detail + "; to accept its licence, set allowUnfree: true in the spec's nixpkgs.config"
	case Broken:
		return what + "is marked as broken" + detail + "; choose another version, or set allowBroken: true in the spec's nixpkgs.config"
	case Insecure:
		return what + "is marked as insecure" + detail + "; choose another version, or name it in permittedInsecurePackages in the spec's nixpkgs.config"
	case Unsupported:
		return what + "is not available for this system" + detail + "; leave out the package or the architecture"
	case Suspect:
		return fmt.Sprintf("at least one of these packages does not evaluate: %s (%s)%s; evaluate fewer at once to see which", f.Name, f.System, detail)
	case NotDerivation:
		return what + "is not a package but a " + f.Message + "; name a package in it, as in set.package"
	}
	if f.Message == "" {
		return what + "does not evaluate, as others do not; mend those first"
	}
	return what + "does not evaluate: " + f.Message
}

func (f Failure) didYouMean() string {
	switch last := len(f.Near) - 1; {
	case last < 0:
		return "; search.nixos.org/packages lists the names of nixpkgs"
	case last == 0:
		return "; did you mean " + f.Near[0] + "?"
	default:
		return "; did you mean " + strings.Join(f.Near[:last], ", ") + " or " + f.Near[last] + "?"
	}
}

const maxNear = 3

func (e *evaluation) failure(w Want, a answer) Failure {
	f := Failure{Name: w.Name, System: w.System, Reason: a.Reason, Message: a.Detail}
	if a.message != "" {
		f.Message = a.message
		if a.Reason != Suspect {
			f.Reason = reasonIn(a.message)
		}
	}
	if f.Reason == NotFound {
		prefix := strings.Join(append(a.Level, ""), ".")
		for _, name := range suggest.Nearest(a.Missing, e.places[w.System+strings.TrimSuffix("."+prefix, ".")], maxNear) {
			f.Near = append(f.Near, prefix+name)
		}
	}
	return f
}

// sentences are those of nixpkgs' check-meta.nix. A package whose dependency is
// refused says so only in them.
var sentences = []struct {
	pattern *regexp.Regexp
	reason  Reason
}{
	{regexp.MustCompile(`has an unfree license|has a blocklisted license`), Unfree},
	{regexp.MustCompile(`is marked as broken`), Broken},
	{regexp.MustCompile(`is not (available|supported) on`), Unsupported},
	{regexp.MustCompile(`is marked as insecure|known vulnerabilities`), Insecure},
}

func reasonIn(message string) Reason {
	for _, s := range sentences {
		if s.pattern.MatchString(message) {
			return s.reason
		}
	}
	return Failed
}
