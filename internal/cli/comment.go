package cli

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/org/nixery-action/internal/actions"
	"github.com/org/nixery-action/internal/github"
	"github.com/org/nixery-action/internal/github/comment"
	"github.com/org/nixery-action/internal/summary"
)

// longestComment is how long a build that is done may wait for GitHub.
const longestComment = time.Minute

// comment puts a page on the pull request that the run is of.
func (c *console) comment(ctx context.Context, inputs actions.Inputs, page summary.Page) {
	number, err := actions.PullRequest(os.Getenv("GITHUB_EVENT_PATH"))
	if errors.Is(err, actions.ErrNoPullRequest) {
		c.log.Info("the run is of no pull request, so there is nothing to comment on")
		return
	}
	if err != nil {
		c.log.Warn(err.Error())
		return
	}
	if inputs.GitHubToken == "" {
		c.log.Warn("there is no comment on the pull request: input \"github-token\" is empty")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, longestComment)
	defer cancel()
	repository, err := github.Open(os.Getenv("GITHUB_REPOSITORY"), os.Getenv("GITHUB_API_URL"), inputs.GitHubToken)
	if err != nil {
		c.log.Warn("there is no comment on the pull request", "cause", err)
		return
	}
	marker := markerOf(inputs)
	url, err := comment.Put(ctx, repository, number, marker, page.Markdown(summary.CommentLimit-len(marker)-1))
	if err != nil {
		c.log.Warn(explainComment(err))
		return
	}
	c.log.Info("commented on the pull request", "at", url)
}

// markerOf tells the comments of several jobs and steps apart, and of a matrix
// by what its jobs may differ in.
func markerOf(inputs actions.Inputs) string {
	return comment.Marker(
		os.Getenv("GITHUB_WORKFLOW"), os.Getenv("GITHUB_JOB"), os.Getenv("GITHUB_ACTION"),
		inputs.Context, inputs.File, inputs.Nixpkgs,
		strings.Join(inputs.Packages, ","), strings.Join(inputs.Images, ","), strings.Join(inputs.Platforms, ","))
}

func explainComment(err error) string {
	if errors.As(err, new(*comment.DeniedError)) {
		return err.Error() + "; the job needs `permissions: pull-requests: write`, which runs of pull requests from forks never get"
	}
	return err.Error()
}
