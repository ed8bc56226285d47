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
	"net/http"

	api "github.com/google/go-github/v60/github"

	"github.com/org/nixery-action/internal/github"
)

// Repository is one on GitHub. Its methods may be called from any goroutine.
type Repository struct {
	client      *api.Client
	owner, name string
}

// Proposal is a commit to review.
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

// Open is the repository owner/name as slug, at an API's URL as GITHUB_API_URL
// has it; empty means github.com. Errors never hold the token.
func Open(slug, api, token string) (*Repository, error) {
	r, err := github.Open(slug, api, token)
	if err != nil && token == "" {
		return nil, fmt.Errorf("%w; it has to write contents and pull requests", err)
	}
	if err != nil {
		return nil, err
	}
	return &Repository{r.Client, r.Owner, r.Name}, nil
}

// Propose puts the files on the proposal's branch, in one commit over its base,
// and opens a pull request or changes the open one. It returns the pull request's
// URL, or an empty one if the base has the files already.
func (r *Repository) Propose(ctx context.Context, p Proposal) (string, error) {
	sha, err := r.commit(ctx, p)
	if err != nil {
		return "", fmt.Errorf("committing to %s/%s: %w", r.owner, r.name, needs("contents: write", err))
	}
	if sha == "" {
		return "", nil
	}
	if err := r.moveBranch(ctx, p.Branch, sha); err != nil {
		return "", fmt.Errorf("moving branch %s: %w", p.Branch, needs("contents: write", err))
	}
	page, err := r.pull(ctx, p)
	if err != nil {
		return "", fmt.Errorf("opening a pull request for %s: %w", p.Branch, needs("pull-requests: write", err))
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
	made, _, err := r.client.Git.CreateCommit(ctx, r.owner, r.name, &api.Commit{
		Message: &p.Title, Tree: tree, Parents: []*api.Commit{base},
	}, nil)
	return made.GetSHA(), err
}

func (r *Repository) entries(ctx context.Context, files []File) ([]*api.TreeEntry, error) {
	var entries []*api.TreeEntry
	for _, file := range files {
		blob, _, err := r.client.Git.CreateBlob(ctx, r.owner, r.name, &api.Blob{
			Content:  api.String(base64.StdEncoding.EncodeToString(file.Content)),
			Encoding: api.String("base64"),
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.Path, err)
		}
		entries = append(entries, &api.TreeEntry{
			Path: api.String(file.Path), Mode: api.String("100644"), Type: api.String("blob"), SHA: blob.SHA,
		})
	}
	return entries, nil
}

func (r *Repository) moveBranch(ctx context.Context, branch, sha string) error {
	ref := &api.Reference{Ref: api.String("refs/heads/" + branch), Object: &api.GitObject{SHA: &sha}}
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
	open, _, err := r.client.PullRequests.List(ctx, r.owner, r.name, &api.PullRequestListOptions{
		State: "open", Head: r.owner + ":" + p.Branch, Base: p.Base,
	})
	if err != nil {
		return "", err
	}
	if len(open) > 0 {
		changed, _, err := r.client.PullRequests.Edit(ctx, r.owner, r.name, open[0].GetNumber(), &api.PullRequest{
			Title: &p.Title, Body: &p.Body,
		})
		return changed.GetHTMLURL(), err
	}
	opened, _, err := r.client.PullRequests.Create(ctx, r.owner, r.name, &api.NewPullRequest{
		Title: &p.Title, Body: &p.Body, Head: &p.Branch, Base: &p.Base,
	})
	return opened.GetHTMLURL(), err
}

// needs says which line a workflow lacks, if the token may not do what was tried.
func needs(permission string, err error) error {
	answer, ok := errors.AsType[*api.ErrorResponse](err)
	if !ok || answer.Response.StatusCode != http.StatusForbidden {
		return err
	}
	return fmt.Errorf("%w; in a workflow, add `%s` to permissions, and let Actions create pull requests in the repository's settings", err, permission)
}

func isNotFound(err error) bool {
	answer, ok := errors.AsType[*api.ErrorResponse](err)
	return ok && answer.Response.StatusCode == http.StatusNotFound
}
