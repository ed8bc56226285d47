package serve

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/scratch"
)

// mirror has the commits of a git repository's branches and tags, without files, to tell whether one of them reaches a commit that a
// client names. A repository serves more than that: GitHub gives commits of all forks under the name of their origin. No other ref is
// ever fetched, and what the mirror lacks is not asked for.
type mirror struct {
	url    string
	parent string // of its directory
	now    func() time.Time

	turn    chan struct{} // holds one token; its owner uses what follows
	dir     string        // "" before the first question
	scratch *scratch.Dir  // the same; it goes with the server's own, in which it is
	tried   time.Time     // to fetch
	err     error         // of that
}

const (
	mirrorTimeout = 10 * time.Minute
	// A commit that is not known may have been pushed just now; strangers name such commits as often as they like.
	refetch = 30 * time.Second
)

// newMirror does nothing yet. parent is a directory of the server's own; the system's for temporary files if empty.
func newMirror(url, parent string) *mirror {
	m := &mirror{url: url, parent: parent, now: time.Now, turn: make(chan struct{}, 1)}
	m.turn <- struct{}{}
	return m
}

// reaches returns a branch or tag, by its full name, that commit is on. If there is none, the error is an [*unreachedError].
func (m *mirror) reaches(ctx context.Context, r nixbuild.Runner, commit string) (ref string, err error) {
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case <-m.turn:
	}
	defer func() { m.turn <- struct{}{} }()
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
