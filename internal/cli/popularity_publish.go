package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/org/nixery-action/internal/github/proposal"
	"github.com/org/nixery-action/internal/plainfile"
)

type publishOptions struct {
	repository string
	api, token string
	branch     string
	base       string
	title      string
	body       string
	files      []string
	release    string
	asset      string
}

// newPublish is for the workflow that refreshes this project's own table.
func newPublish(c *console) *cobra.Command {
	var o publishOptions
	cmd := &cobra.Command{
		Use:    "publish",
		Short:  "Propose a new embedded table in a pull request, and attach it to a release",
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.api, o.token = os.Getenv("GITHUB_API_URL"), os.Getenv("GITHUB_TOKEN")
			return interrupted(cmd.Context(), publishTable(cmd.Context(), c, o))
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.repository, "repository", os.Getenv("GITHUB_REPOSITORY"), "OWNER/NAME")
	f.StringVar(&o.branch, "branch", "popularity-refresh", "the pull request's branch")
	f.StringVar(&o.base, "base", "main", "the branch to merge into")
	f.StringVar(&o.title, "title", "Refresh the popularity table", "of the pull request")
	f.StringVar(&o.body, "body", "", "file with the pull request's text, in Markdown")
	f.StringArrayVar(&o.files, "file", nil, "a file to propose, by its path in the repository and here (repeatable)")
	f.StringVar(&o.release, "release", "popularity", "the tag of the release that gets --asset")
	f.StringVar(&o.asset, "asset", "", "a file to attach to a release")
	return cmd
}

func publishTable(ctx context.Context, c *console, o publishOptions) error {
	if err := c.hide(o.token); err != nil {
		return err
	}
	p, err := o.proposal()
	if err != nil {
		return usageError{err}
	}
	repository, err := proposal.Open(o.repository, o.api, o.token)
	if err != nil {
		return usageError{err}
	}
	if len(p.Files) > 0 {
		page, err := repository.Propose(ctx, p)
		if err != nil {
			return err
		}
		if page == "" {
			page = "nothing has changed on " + o.base
		}
		fmt.Fprintln(c.stdout, page)
	}
	if o.asset == "" {
		return nil
	}
	page, err := repository.Attach(ctx, o.release, o.base, o.asset)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.stdout, page)
	return err
}

// maxProposed bounds a file of a proposal, in bytes: the most that GitHub takes.
const maxProposed = 100 << 20

func (o publishOptions) proposal() (proposal.Proposal, error) {
	p := proposal.Proposal{Branch: o.branch, Base: o.base, Title: o.title}
	for _, file := range o.files {
		if !filepath.IsLocal(file) {
			return p, fmt.Errorf("file %s: want a path below the repository's root", file)
		}
		content, err := plainfile.ReadFile(file, maxProposed)
		if err != nil {
			return p, err
		}
		p.Files = append(p.Files, proposal.File{Path: filepath.ToSlash(filepath.Clean(file)), Content: content})
	}
	if o.body == "" {
		return p, nil
	}
	body, err := plainfile.ReadFile(o.body, maxProposed)
	p.Body = string(body)
	return p, err
}
