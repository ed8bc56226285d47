// Package proposal turns files into a pull request on GitHub, and into assets of
// a release. It stands apart because it writes to a repository with a token:
// nothing that builds or counts can reach it.
//
// A proposal that is made again changes the one that is open. The base branch
// is never written to.
package proposal

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"
)

// Repository is one on GitHub. Its methods may be called from any goroutine.
type Repository struct {
	client      *github.Client
	owner, name string
}

// Proposal is a commit that somebody is to review.
type Proposal struct {
	Branch string // that the commit is put on; what was there before is replaced
	Base   string // branch to merge into
	Title  string // of the pull request, and the commit's message
	Body   string // of the pull request, in Markdown
	Files  []File
}

// File is a file of the repository. It is not executable.
type File struct {
	Path    string // from the repository's root, with slashes
	Content []byte
}

const timeout = 2 * time.Minute // a request; a table is a megabyte

// Open is the repository owner/name as slug, at an API's URL as GITHUB_API_URL
// has it; empty means github.com. Errors never hold the token.
func Open(slug, api, token string) (*Repository, error) {
	owner, name, ok := strings.Cut(slug, "/")
	if !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		return nil, fmt.Errorf("repository %q: want OWNER/NAME", slug)
	}
	if token == "" {
		return nil, errors.New("want a token in GITHUB_TOKEN that may write contents and pull requests")
	}
	client := github.NewClient(&http.Client{Timeout: timeout, CheckRedirect: sameHost}).WithAuthToken(token)
	if api != "" && api != "https://api.github.com" {
		base, err := url.Parse(strings.TrimSuffix(api, "/") + "/")
		if err != nil || !isSafe(base) {
			return nil, errors.New("want the API at an https URL: the token is sent there")
		}
		client.BaseURL = base
		client.UploadURL = uploads(base)
	}
	return &Repository{client, owner, name}, nil
}

// uploads is where assets go on a server of one's own:
// https://docs.github.com/en/enterprise-server/rest/releases/assets.
func uploads(base *url.URL) *url.URL {
	u := *base
	u.Path = strings.TrimSuffix(u.Path, "v3/") + "uploads/"
	return &u
}

func isSafe(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && ip != nil && ip.IsLoopback())
}

// sameHost keeps the token from other hosts.
func sameHost(next *http.Request, via []*http.Request) error {
	if next.URL.Host != via[0].URL.Host || len(via) > 5 {
		return errors.New("it redirects elsewhere")
	}
	return nil
}

// Propose puts the files on the proposal's branch, in one commit over its base,
// and opens a pull request or changes the open one. It returns the pull request's
// URL, or an empty one if the base has the files already.
func (r *Repository) Propose(ctx context.Context, p Proposal) (string, error) {
	sha, err := r.commit(ctx, p)
	if err != nil {
		return "", fmt.Errorf("committing to %s/%s: %w", r.owner, r.name, err)
	}
	if sha == "" {
		return "", nil
	}
	if err := r.moveBranch(ctx, p.Branch, sha); err != nil {
		return "", fmt.Errorf("moving branch %s: %w", p.Branch, err)
	}
	page, err := r.pull(ctx, p)
	if err != nil {
		return "", fmt.Errorf("opening a pull request for %s: %w", p.Branch, err)
	}
	return page, nil
}

// commit returns the new commit, or nothing if it would change nothing.
func (r *Repository) commit(ctx context.Context, p Proposal) (sha string, err error) {
	ref, _, err := r.client.Git.GetRef(ctx, r.owner, r.name, "heads/"+p.Base)
	if err != nil {
		return "", err
	}
	base, _, err := r.client.Git.GetCommit(ctx, r.owner, r.name, ref.GetObject().GetSHA())
	if err != nil {
		return "", err
	}
	entries, err := r.entries(ctx, p.Files)
	if err != nil {
		return "", err
	}
	tree, _, err := r.client.Git.CreateTree(ctx, r.owner, r.name, base.GetTree().GetSHA(), entries)
	if err != nil {
		return "", err
	}
	if tree.GetSHA() == base.GetTree().GetSHA() {
		return "", nil
	}
	made, _, err := r.client.Git.CreateCommit(ctx, r.owner, r.name, &github.Commit{
		Message: &p.Title, Tree: tree, Parents: []*github.Commit{base},
	}, nil)
	return made.GetSHA(), err
}

func (r *Repository) entries(ctx context.Context, files []File) ([]*github.TreeEntry, error) {
	var entries []*github.TreeEntry
	for _, file := range files {
		blob, _, err := r.client.Git.CreateBlob(ctx, r.owner, r.name, &github.Blob{
			Content:  github.String(base64.StdEncoding.EncodeToString(file.Content)),
			Encoding: github.String("base64"),
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.Path, err)
		}
		entries = append(entries, &github.TreeEntry{
			Path: github.String(file.Path), Mode: github.String("100644"), Type: github.String("blob"), SHA: blob.SHA,
		})
	}
	return entries, nil
}

func (r *Repository) moveBranch(ctx context.Context, branch, sha string) error {
	ref := &github.Reference{Ref: github.String("refs/heads/" + branch), Object: &github.GitObject{SHA: &sha}}
	_, _, err := r.client.Git.GetRef(ctx, r.owner, r.name, "heads/"+branch)
	switch {
	case isNotFound(err):
		_, _, err = r.client.Git.CreateRef(ctx, r.owner, r.name, ref)
	case err == nil:
		_, _, err = r.client.Git.UpdateRef(ctx, r.owner, r.name, ref, true)
	}
	return err
}

func (r *Repository) pull(ctx context.Context, p Proposal) (page string, err error) {
	open, _, err := r.client.PullRequests.List(ctx, r.owner, r.name, &github.PullRequestListOptions{
		State: "open", Head: r.owner + ":" + p.Branch, Base: p.Base,
	})
	if err != nil {
		return "", err
	}
	if len(open) > 0 {
		changed, _, err := r.client.PullRequests.Edit(ctx, r.owner, r.name, open[0].GetNumber(), &github.PullRequest{
			Title: &p.Title, Body: &p.Body,
		})
		return changed.GetHTMLURL(), err
	}
	opened, _, err := r.client.PullRequests.Create(ctx, r.owner, r.name, &github.NewPullRequest{
		Title: &p.Title, Body: &p.Body, Head: &p.Branch, Base: &p.Base,
	})
	return opened.GetHTMLURL(), err
}

func isNotFound(err error) bool {
	answer, ok := errors.AsType[*github.ErrorResponse](err)
	return ok && answer.Response.StatusCode == http.StatusNotFound
}
