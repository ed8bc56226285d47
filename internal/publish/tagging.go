package publish

import (
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Outcome is what became of a tag that was to be set.
type Outcome string

// The outcomes. After Refused or Unknown, all that follow are Untried or Same.
const (
	Same    Outcome = "same"    // it had the digest already
	Created Outcome = "created" // no such tag existed
	Moved   Outcome = "moved"   // it had another digest, or the registry did not say which
	Refused Outcome = "refused" // it is as it was
	Unknown Outcome = "unknown" // the registry did not say whether it was set
	Untried Outcome = "untried" // it is as it was, as another one could not be set before it
)

// Set reports whether the tag has the digest.
func (o Outcome) Set() bool { return o == Same || o == Created || o == Moved }

// Tagging is what became of one tag.
type Tagging struct {
	Tag     name.Tag
	Outcome Outcome
	Asked   bool    // the registry said what From is
	From    v1.Hash // the digest that it had; zero if there was no such tag
	To      v1.Hash
	Err     error // of Refused and Unknown
}

// String is a line such as "moved ghcr.io/acme/box:latest from sha256:… to sha256:…".
func (t Tagging) String() string {
	switch {
	case t.Outcome == Created:
		return fmt.Sprintf("created %s: %s", t.Tag.Name(), t.To)
	case t.Outcome == Same:
		return fmt.Sprintf("unchanged %s: %s", t.Tag.Name(), t.To)
	case t.Outcome == Moved && t.Asked:
		return fmt.Sprintf("moved %s from %s to %s", t.Tag.Name(), t.From, t.To)
	case t.Outcome == Moved:
		return fmt.Sprintf("set %s: %s", t.Tag.Name(), t.To)
	case t.Outcome == Unknown:
		return fmt.Sprintf("not known whether set %s: %s", t.Tag.Name(), t.was())
	case t.Outcome == Refused:
		return fmt.Sprintf("refused %s: %s", t.Tag.Name(), t.was())
	}
	return fmt.Sprintf("not tried %s: %s", t.Tag.Name(), t.was())
}

func (t Tagging) was() string {
	switch {
	case !t.Asked:
		return "what it names was not said"
	case t.From == v1.Hash{}:
		return "no such tag existed"
	}
	return "it had " + t.From.String()
}

// TagsError is a push that ended while tags were set: all else is in the registries.
type TagsError struct {
	Taggings []Tagging // all of the push, in the order in which they were to be set
	Err      error     // why it ended
}

// Error has a line for the reason, one for each tag, and one for each image that exists by digest.
func (e *TagsError) Error() string {
	lines := []string{e.Err.Error()}
	var exist []string
	seen := map[string]bool{}
	for _, t := range e.Taggings {
		lines = append(lines, "  "+t.String())
		if ref := t.Tag.Context().Digest(t.To.String()).Name(); !seen[ref] {
			seen[ref] = true
			exist = append(exist, "  exists by digest: "+ref)
		}
	}
	return strings.Join(append(lines, exist...), "\n")
}

// Unwrap returns the reason.
func (e *TagsError) Unwrap() error { return e.Err }
