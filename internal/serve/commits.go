package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/scratch"
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

// tagsInWords says which tags there may be.
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
// repository also serves the commits of its forks. The source that it returns is the one to evaluate.
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

// nixpkgsCommits tells by GitHub's API whether a commit is on a branch of nixpkgs that its maintainers alone push to: master, or one of the
// releases'. An archive of github.com/NixOS/nixpkgs may be of any fork's commit.
type nixpkgsCommits struct {
	api     string // https://api.github.com
	channel string // whose release is looked at before others
	now     func() time.Time

	turn     // guards the rest: one question at a time
	known    map[string]verdict
	releases []string // newest first
	listed   time.Time
	paused   time.Time // when the API last refused or failed
}

// verdict is what was found out about a commit, and when. That it is on a branch stays true.
type verdict struct {
	on   string // a branch, or ""
	when time.Time
}

const (
	officialAPI    = "https://api.github.com"
	maxVerdicts    = 4096
	maxReleases    = 4 // that are looked at: two years
	freshVerdict   = 10 * time.Minute
	freshReleases  = 24 * time.Hour
	pause          = time.Minute
	compareTimeout = time.Minute
	maxAnswer      = 8 << 20
)

func newCommits(api, channel string) *nixpkgsCommits {
	return &nixpkgsCommits{api: strings.TrimSuffix(api, "/"), channel: channel, now: time.Now, turn: newTurn(), known: map[string]verdict{}}
}

// check is nil for a commit on a branch of nixpkgs, an [*unreachedError] for another, and an [*unsureError] where nothing can be found out.
func (c *nixpkgsCommits) check(ctx context.Context, commit string) error {
	if err := c.lock(ctx); err != nil {
		return err
	}
	defer c.unlock()
	v, known := c.known[commit]
	if !known || v.on == "" && c.now().Sub(v.when) >= freshVerdict {
		if age := c.now().Sub(c.paused); age >= 0 && age < pause {
			return &unsureError{errors.New("GitHub's API gave no answer a moment ago")}
		}
		asking, stop := context.WithTimeout(ctx, compareTimeout)
		defer stop()
		on, err := c.ask(asking, commit)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			c.paused = c.now()
			return &unsureError{err}
		}
		v = verdict{on, c.now()}
		if len(c.known) >= maxVerdicts {
			clear(c.known)
		}
		c.known[commit] = v
	}
	if v.on == "" {
		return &unreachedError{commit, "is on neither master nor a recent release branch of nixpkgs", c.now().Sub(v.when)}
	}
	return nil
}

// ask compares a commit with each branch; "" if none has it.
func (c *nixpkgsCommits) ask(ctx context.Context, commit string) (branch string, err error) {
	if err := c.list(ctx); err != nil {
		return "", err
	}
	for _, branch := range append([]string{"master"}, c.releases...) {
		var comparison struct {
			Status string `json:"status"`
		}
		// The second page has neither files nor patches.
		found, err := c.get(ctx, "/repos/NixOS/nixpkgs/compare/"+branch+"..."+commit+"?per_page=1&page=2", &comparison)
		if err != nil {
			return "", err
		}
		if !found { // GitHub knows no such commit, on whatever branch
			return "", nil
		}
		if comparison.Status == "behind" || comparison.Status == "identical" {
			return branch, nil
		}
	}
	return "", nil
}

var releaseForm = regexp.MustCompile(`^refs/heads/(release-([0-9]{2}\.[0-9]{2}))$`)

// list finds the branches of releases, once a day: that of the channel, then the newest.
func (c *nixpkgsCommits) list(ctx context.Context) error {
	if !c.listed.IsZero() && c.now().Sub(c.listed) < freshReleases {
		return nil
	}
	var refs []struct {
		Ref string `json:"ref"`
	}
	if _, err := c.get(ctx, "/repos/NixOS/nixpkgs/git/matching-refs/heads/release-", &refs); err != nil {
		return err
	}
	var own, others []string
	for _, ref := range refs {
		match := releaseForm.FindStringSubmatch(ref.Ref)
		switch {
		case match == nil:
		case strings.Contains(c.channel, match[2]):
			own = append(own, match[1])
		default:
			others = append(others, match[1])
		}
	}
	slices.Sort(others)
	slices.Reverse(others)
	c.releases, c.listed = append(own, others[:min(len(others), maxReleases)]...), c.now()
	return nil
}

// get asks the API. It is false for what GitHub does not know.
func (c *nixpkgsCommits) get(ctx context.Context, path string, into any) (found bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.api+path, http.NoBody)
	if err != nil {
		return false, fmt.Errorf("asking GitHub: %w", err)
	}
	r.Header.Set("Accept", "application/vnd.github+json")
	answer, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(r)
	if err != nil {
		return false, fmt.Errorf("asking GitHub: %w", err)
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusUnprocessableEntity:
		return false, nil
	default:
		return false, fmt.Errorf("asking GitHub: %s", answer.Status)
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(into); err != nil {
		return false, fmt.Errorf("reading GitHub's answer: %w", err)
	}
	return true, nil
}

// mirror has the commits of a git repository's branches and tags, without files, to tell whether one of them reaches a commit that a
// client names. A repository serves more than that: GitHub gives commits of all forks under the name of their origin. No other ref is
// ever fetched, and what the mirror lacks is not asked for.
type mirror struct {
	url    string
	parent string // of its directory
	now    func() time.Time

	turn                 // guards the rest
	dir     string       // "" before the first question
	scratch *scratch.Dir // the same; it goes with the server's own, in which it is
	tried   time.Time    // to fetch
	err     error        // of that
}

const (
	mirrorTimeout = 10 * time.Minute
	// A commit that is not known may have been pushed just now; strangers name such commits as often as they like.
	refetch = 30 * time.Second
)

// newMirror does nothing yet. parent is a directory of the server's own; the system's for temporary files if empty.
func newMirror(url, parent string) *mirror {
	return &mirror{url: url, parent: parent, now: time.Now, turn: newTurn()}
}

// reaches returns a branch or tag, by its full name, that commit is on. If there is none, the error is an [*unreachedError].
func (m *mirror) reaches(ctx context.Context, r nixbuild.Runner, commit string) (ref string, err error) {
	if err := m.lock(ctx); err != nil {
		return "", err
	}
	defer m.unlock()
	for {
		if m.err == nil && !m.tried.IsZero() {
			if ref, err := m.look(ctx, r, commit); ref != "" || err != nil {
				return ref, err
			}
		}
		age := m.now().Sub(m.tried)
		switch {
		case m.tried.IsZero() || age >= refetch || age < 0:
			if err := m.fetch(ctx, r); err != nil {
				return "", err
			}
		case m.err != nil:
			return "", m.err
		default:
			return "", &unreachedError{commit, "is on no branch or tag of the package set's repository", age}
		}
	}
}

// look asks the mirror alone. An empty ref says that it has none.
func (m *mirror) look(ctx context.Context, r nixbuild.Runner, commit string) (ref string, err error) {
	kind, err := r.Run(ctx, m.git("cat-file", "-t", commit)...)
	if _, no := errors.AsType[*nixbuild.ExitError](err); no || err == nil && strings.TrimSpace(string(kind)) != "commit" {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	out, err := r.Run(ctx, m.git("for-each-ref", "--count=1", "--format=%(refname)", "--contains", commit, "refs/heads", "refs/tags")...)
	if err != nil {
		return "", fmt.Errorf("looking for commit %s: %w", commit, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// fetch gets what is new on branches and tags, and forgets those that are gone. A repository that cannot leave out files gives them too.
func (m *mirror) fetch(ctx context.Context, r nixbuild.Runner) error {
	fetching, stop := context.WithTimeoutCause(ctx, mirrorTimeout, errors.New("fetching branches and tags took longer than "+mirrorTimeout.String()))
	defer stop()
	if m.dir == "" {
		dir, err := scratch.NewDir(m.parent)
		if err != nil {
			return fmt.Errorf("making a mirror of the package set's repository: %w", err)
		}
		m.scratch, m.dir = dir, dir.Path()
	}
	_, err := r.Run(fetching, "git", "init", "--quiet", "--bare", "--template=", m.dir)
	if err == nil {
		err = m.fetchBy(fetching, r, "tree:0")
	}
	if exit, ok := errors.AsType[*nixbuild.ExitError](err); ok && strings.Contains(strings.Join(exit.Stderr, "\n"), "all necessary objects") {
		err = m.fetchBy(fetching, r, "blob:none") // a tag names a tree, which git then wants whole
	}
	if ctx.Err() != nil { // its clients have gone: that tells nothing about the repository
		return context.Cause(ctx)
	}
	m.tried, m.err = m.now(), nil
	if err != nil {
		m.err = &unsureError{fmt.Errorf("fetching branches and tags of the package set's repository: %w", err)}
	}
	return m.err
}

// fetchBy leaves out what filter does. The remote is not written into the mirror: nothing else can fetch from it, and its credentials
// are not kept.
func (m *mirror) fetchBy(ctx context.Context, r nixbuild.Runner, filter string) error {
	_, err := r.Run(ctx, m.git("-c", "remote.origin.url="+m.url, "-c", "remote.origin.promisor=true", "-c", "remote.origin.partialclonefilter="+filter,
		"-c", "gc.auto=0", "-c", "fetch.writeCommitGraph=true",
		"fetch", "--quiet", "--prune", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--filter="+filter,
		"origin", "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")...)
	return err
}

func (m *mirror) git(args ...string) []string {
	return append([]string{"git", "--git-dir=" + m.dir, "-c", "core.hooksPath=/dev/null"}, args...)
}

// unreachedError is a commit that is not the package source's own.
type unreachedError struct {
	commit, why string
	age         time.Duration // of what is known
}

func (e *unreachedError) Error() string {
	return fmt.Sprintf("commit %s %s, as of %s ago", e.commit, e.why, e.age.Round(time.Second))
}

// unsureError says that it cannot be found out whether a commit is the package source's own, so it is not served.
type unsureError struct{ cause error }

func (e *unsureError) Error() string { return "whether a commit may be served: " + e.cause.Error() }
func (e *unsureError) Unwrap() error { return e.cause }
