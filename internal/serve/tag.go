package serve

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/org/nixery-action/internal/spec"
)

// latest is the tag of what the server was told to serve.
const latest = "latest"

var (
	// tagForm is <reference> of the distribution specification 1.1 where it is a tag.
	tagForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	commit  = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// errTag is a tag that cannot be one.
var errTag = errors.New("a tag has at most 128 letters, digits, dots, hyphens and underscores, with neither dot nor hyphen first")

// tagSource is the source that a tag stands for, and whether it can never mean anything else, as with a
// commit and no overlays, which are files. The error is fit to be shown.
func tagSource(source spec.Nixpkgs, tag string) (at spec.Nixpkgs, fixed bool, err error) {
	switch {
	case !tagForm.MatchString(tag):
		return source, false, errTag
	case source.Git != nil:
		return gitTag(source, tag)
	case source.Channel != "" && commit.MatchString(tag):
		source.Channel = tag
	case tag != latest:
		return source, false, fmt.Errorf("there is no tag %s: here are %s", tag, tagsOf(source))
	}
	return source, commit.MatchString(source.Channel) && len(source.Overlays) == 0, nil
}

// gitTag: a branch's name may not be all that a tag may be, see git check-ref-format.
func gitTag(source spec.Nixpkgs, tag string) (spec.Nixpkgs, bool, error) {
	git := *source.Git
	source.Git = &git
	switch {
	case commit.MatchString(tag):
		git.Rev = tag
	case strings.Contains(tag, "..") || strings.HasSuffix(tag, ".") || strings.HasSuffix(tag, ".lock"):
		return source, false, fmt.Errorf("there is no branch %s", tag)
	case tag != latest:
		git.Ref, git.Rev = tag, ""
	}
	return source, git.Rev != "" && len(source.Overlays) == 0, nil
}

// tagsOf says in words which tags there may be.
func tagsOf(source spec.Nixpkgs) string {
	switch {
	case source.Git != nil:
		return "latest, branches and commits of the package set's repository"
	case source.Channel != "":
		return "latest, and commits of nixpkgs in 40 hexadecimal digits"
	}
	return "latest"
}
