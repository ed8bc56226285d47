package serve

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/org/nixery-action/internal/nixbuild"
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
func (s *Server) tagSource(tag string) (at spec.Nixpkgs, fixed bool, err error) {
	source := s.options.Source
	switch {
	case !tagForm.MatchString(tag):
		return source, false, errTag
	case source.Git != nil:
		return gitTag(source, tag)
	case source.Channel != "" && commit.MatchString(tag) && (s.options.Commits || tag == source.Channel):
		source.Channel = tag
	case tag != latest:
		return source, false, fmt.Errorf("there is no tag %s: here are %s", tag, s.tagsInWords())
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
func (s *Server) tagsInWords() string {
	switch {
	case s.options.Source.Git != nil:
		return "latest, branches and commits of the package set's repository"
	case s.options.Source.Channel != "" && s.options.Commits:
		return "latest, and commits of nixpkgs in 40 hexadecimal digits"
	}
	return "latest"
}

// verifyCommit finds out that a commit which a client names is the package source's own, before anything of it is fetched or evaluated: a
// repository serves commits that anybody may have made. The source that it returns is the one to evaluate.
func (s *Server) verifyCommit(ctx context.Context, r nixbuild.Runner, q query, source spec.Nixpkgs) (spec.Nixpkgs, error) {
	switch {
	case !commit.MatchString(q.tag):
		return source, nil
	case source.Git != nil:
		ref, err := s.mirror.reaches(ctx, r, q.tag)
		git := *source.Git
		git.Ref, source.Git = ref, &git
		return source, err
	case source.Channel == s.options.Source.Channel: // the settings' own
		return source, nil
	}
	return source, s.commits.check(ctx, q.tag)
}
