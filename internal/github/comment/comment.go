// Package comment keeps one comment on a pull request up to date: a page becomes
// a comment, and the next page takes its place.
//
// It stands apart from summary, which writes pages, because whoever changes what
// is on GitHub must be sure whose it is.
//
// The invariant: no comment is changed but one that begins with the marker and
// was written by a bot, or by the token's own user. What quotes the marker stays
// as it is.
package comment

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"

	api "github.com/google/go-github/v60/github"

	"github.com/org/nixery-action/internal/github"
)

// A comment of ours is looked for among so many, oldest first.
const (
	perPage   = 100
	mostPages = 10
)

// Marker is the first line of a comment: readers do not see it. Comments with
// another identity, such as those of another step, have another one.
func Marker(identity ...string) string {
	h := sha256.New()
	for _, part := range identity {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return fmt.Sprintf("<!-- nixery-action %.16x -->", h.Sum(nil))
}

// DeniedError says that the token may not write the comment.
type DeniedError struct{ Err error }

func (e *DeniedError) Error() string { return e.Err.Error() }

// Unwrap returns what GitHub said.
func (e *DeniedError) Unwrap() error { return e.Err }

// Put writes the body, Markdown, as the pull request's comment with that marker:
// in place of the one that is there, or as a new one. It returns the comment's
// URL. Where rights are missing the error is a [*DeniedError].
func Put(ctx context.Context, r *github.Repository, pull int, marker, body string) (string, error) {
	body = marker + "\n" + body
	old, err := find(ctx, r, pull, marker)
	var page string
	switch {
	case errors.Is(err, errNone):
		page, err = create(ctx, r, pull, body)
	case err == nil && old.GetBody() == body:
		page = old.GetHTMLURL()
	case err == nil:
		page, err = edit(ctx, r, old.GetID(), body)
	}
	if err != nil {
		return "", explain(fmt.Errorf("commenting on pull request %d of %s: %w", pull, r, err))
	}
	return page, nil
}

func create(ctx context.Context, r *github.Repository, pull int, body string) (string, error) {
	made, _, err := r.Client.Issues.CreateComment(ctx, r.Owner, r.Name, pull, &api.IssueComment{Body: &body})
	return made.GetHTMLURL(), err
}

func edit(ctx context.Context, r *github.Repository, id int64, body string) (string, error) {
	made, _, err := r.Client.Issues.EditComment(ctx, r.Owner, r.Name, id, &api.IssueComment{Body: &body})
	return made.GetHTMLURL(), err
}

// errNone says that there is no comment of ours.
var errNone = errors.New("there is no such comment")

// find returns the first comment that is ours, or errNone.
func find(ctx context.Context, r *github.Repository, pull int, marker string) (*api.IssueComment, error) {
	own := &author{repository: r}
	options := &api.IssueListCommentsOptions{ListOptions: api.ListOptions{PerPage: perPage}}
	for range mostPages {
		page, resp, err := r.Client.Issues.ListComments(ctx, r.Owner, r.Name, pull, options)
		if err != nil {
			return nil, err
		}
		for _, c := range page {
			if strings.HasPrefix(c.GetBody(), marker) && own.wrote(ctx, c) {
				return c, nil
			}
		}
		if resp.NextPage == 0 {
			break
		}
		options.Page = resp.NextPage
	}
	return nil, errNone
}

// author knows what was written with the token. That of a workflow is a bot's,
// which has no user to ask for.
type author struct {
	repository *github.Repository
	asked      bool
	id         int64 // of the token's user, 0 if it has none
}

func (a *author) wrote(ctx context.Context, c *api.IssueComment) bool {
	if c.GetUser().GetType() == "Bot" {
		return true
	}
	if !a.asked {
		a.asked = true
		if user, _, err := a.repository.Client.Users.Get(ctx, ""); err == nil {
			a.id = user.GetID()
		}
	}
	return a.id != 0 && c.GetUser().GetID() == a.id
}

// explain tells a missing right from other failures. GitHub answers 404 where a token may not even know.
func explain(err error) error {
	answer, ok := errors.AsType[*api.ErrorResponse](err)
	if ok && (answer.Response.StatusCode == http.StatusForbidden || answer.Response.StatusCode == http.StatusNotFound || answer.Response.StatusCode == http.StatusUnauthorized) {
		return &DeniedError{err}
	}
	return err
}
