package nixbuild

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
)

// Source is where packages come from: exactly one of Channel, Git, Path, Flake.
//
// The expression found there may be any set of derivations, or a function to
// one, which gets those of the arguments system, config and overlays that it
// takes.
type Source struct {
	Channel string // a channel of nixpkgs, "nixos-25.11", or a commit of it, 40 hex digits
	Git     *Git
	Path    string  // absolute
	Flake   string  // a flake reference, or a directory's absolute path; packages.<system>, then legacyPackages.<system>
	Locked  *Locked // what the flake's inputs were resolved to, where its flake.lock does not say

	Config   map[string]any // nixpkgs' config; values as JSON has them
	Overlays []string       // absolute paths of Nix files

	// Path and overlays in a git repository are read with the files that git ignores.
	IncludeIgnored bool

	// Where channels and commits are fetched from; empty for the official places.
	ChannelBase string // <base>/<channel>/nixexprs.tar.xz
	ArchiveBase string // <base>/<commit>.tar.gz
}

// Git is an expression in a git repository.
type Git struct {
	URL string // anything git understands; credentials in it are not shown in errors
	Ref string // a branch, or a full name as refs/tags/v1; empty for HEAD
	Rev string // 40 hex digits; empty for Ref's newest
}

const (
	officialChannels = "https://nixos.org/channels"
	officialArchives = "https://github.com/NixOS/nixpkgs/archive"
)

var (
	commitPattern  = regexp.MustCompile(`^[0-9a-f]{40}$`)
	channelPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
)

// String names the source for people, without credentials.
func (s Source) String() string {
	switch {
	case s.Git != nil:
		return "git repository " + s.Git.String()
	case s.Path != "":
		return "path " + s.Path
	case s.Flake != "":
		return "flake " + withoutCredentials(s.Flake)
	case commitPattern.MatchString(s.Channel):
		return "nixpkgs commit " + s.Channel
	}
	return "channel " + s.Channel
}

// String names the repository and what of it, without credentials.
func (g Git) String() string {
	at := g.Ref
	if g.Rev != "" {
		at = g.Rev
	}
	if at == "" {
		return withoutCredentials(g.URL)
	}
	return withoutCredentials(g.URL) + " at " + at
}

// sourceRequest is a [Source] as eval.nix reads it.
type sourceRequest struct {
	Kind   string       `json:"kind"` // tarball, git, path or flake
	URL    string       `json:"url,omitempty"`
	Ref    string       `json:"ref,omitempty"`
	Rev    string       `json:"rev,omitempty"`
	Tree   *treeRequest `json:"tree,omitempty"`
	Flake  string       `json:"flake,omitempty"`
	Locked *Locked      `json:"locked,omitempty"`
}

// request finds out as well where the source is, if it is on this machine.
func (s Source) request(ctx context.Context, r Runner) (sourceRequest, error) {
	if err := s.check(); err != nil {
		return sourceRequest{}, err
	}
	switch {
	case s.Git != nil:
		return sourceRequest{Kind: "git", URL: s.Git.URL, Ref: s.Git.Ref, Rev: s.Git.Rev}, nil
	case s.Path != "":
		tree, err := s.tree(ctx, r, s.Path)
		request := tree.request()
		return sourceRequest{Kind: "path", Tree: &request}, err
	case s.Flake != "":
		flake, err := s.flakeURL(ctx, r)
		return sourceRequest{Kind: "flake", Flake: flake, Locked: s.Locked}, err
	}
	return sourceRequest{Kind: "tarball", URL: s.tarball()}, nil
}

// tree is that of the source's path or of one of its overlays. An error is a
// [*SourceError] or the context's cause.
func (s Source) tree(ctx context.Context, r Runner, name string) (tree, error) {
	t, err := treeOf(ctx, r, name, s.IncludeIgnored)
	return t, s.unreadable(ctx, err)
}

// unreadable is the error of a source on this machine that is no good.
func (s Source) unreadable(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return &SourceError{Source: s.String(), Message: err.Error(), cause: err}
}

func (s Source) tarball() string {
	if commitPattern.MatchString(s.Channel) {
		return orDefault(s.ArchiveBase, officialArchives) + "/" + s.Channel + ".tar.gz"
	}
	return orDefault(s.ChannelBase, officialChannels) + "/" + s.Channel + "/nixexprs.tar.xz"
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return strings.TrimSuffix(s, "/")
}

func (s Source) check() error {
	given := 0
	for _, is := range []bool{s.Channel != "", s.Git != nil, s.Path != "", s.Flake != ""} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		return errors.New("a package source is one of: channel, git, path, flake")
	case s.Channel != "" && !channelPattern.MatchString(s.Channel):
		return fmt.Errorf("%q is not the name of a channel", s.Channel)
	case s.Git != nil && s.Git.URL == "":
		return errors.New("a git source needs a url")
	case s.Git != nil && s.Git.Rev != "" && !commitPattern.MatchString(s.Git.Rev):
		return fmt.Errorf("git revision %q is not 40 hex digits", s.Git.Rev)
	}
	return absolute(append([]string{s.Path}, s.Overlays...))
}

// absolute reports the first path that is neither absolute nor empty: Nix would
// read it relative to a temporary directory.
func absolute(paths []string) error {
	for _, p := range paths {
		if p != "" && !filepath.IsAbs(p) {
			return fmt.Errorf("path %q is not absolute", p)
		}
	}
	return nil
}

// withoutCredentials hides user and password of a URL; other forms
// (git@host:path) hold none.
func withoutCredentials(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return s
	}
	authority, path, _ := strings.Cut(rest, "/")
	at := strings.LastIndexByte(authority, '@')
	if at < 0 {
		return s
	}
	return scheme + "://***@" + authority[at+1:] + "/" + path
}

// secrets lists what must not be repeated from a program's messages: user
// information of URLs, as written and decoded.
func (s Source) secrets() []string {
	var found []string
	for _, raw := range []string{s.Flake, s.gitURL()} {
		u, err := url.Parse(strings.TrimPrefix(raw, "git+"))
		if err != nil || u.User == nil {
			continue
		}
		if password, ok := u.User.Password(); ok {
			found = append(found, password)
		}
		found = append(found, u.User.String())
	}
	return found
}

func (s Source) gitURL() string {
	if s.Git == nil {
		return ""
	}
	return s.Git.URL
}
