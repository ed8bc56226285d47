package cli

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/org/nixery-action/internal/nixbuild"
)

// gitTime is how long git may take to say what is checked out.
const gitTime = 5 * time.Second

// variables looks up the variables of a spec. In a workflow they are the environment's.
// Elsewhere the git checkout of the context has those that tell a commit, and for a run
// that pushes nothing every other one has its own name as its value.
func (o buildOptions) variables(ctx context.Context, c *console) func(name string) (string, bool) {
	if c.env.InActions || o.step {
		return os.LookupEnv
	}
	publications, _ := o.publications()
	pushes := slices.ContainsFunc(publications, func(p publication) bool { return p.Push })
	return func(name string) (string, bool) {
		if value, ok := os.LookupEnv(name); ok && (value != "" || pushes) {
			return value, true
		}
		if value := o.fromCheckout(ctx, name); value != "" {
			return value, true
		}
		return name, !pushes
	}
}

// remoteSlug finds owner and name in a remote's URL:
//
//	git@github.com:acme/toolbox.git       ▶ acme/toolbox
//	https://github.com/acme/toolbox       ▶ acme/toolbox
var remoteSlug = regexp.MustCompile(`^(?:[a-z+]+://(?:[^/]*@)?[^/]+/|[^/]*@[^/:]+:)([A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+?)(?:\.git)?/?$`)

// fromCheckout is the value that a workflow of what is checked out would have; "" for
// other variables, and outside of a checkout.
func (o buildOptions) fromCheckout(ctx context.Context, name string) string {
	ctx, cancel := context.WithTimeout(ctx, gitTime)
	defer cancel()
	git := func(args ...string) string {
		dir := o.Context
		if dir == "" {
			dir = "."
		}
		out, err := nixbuild.Exec{Stderr: func(string) {}}.Run(ctx, append([]string{"git", "-C", dir}, args...)...)
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	}
	switch name {
	case "GITHUB_SHA":
		return git("rev-parse", "--verify", "HEAD")
	case "GITHUB_REF_NAME":
		if branch := git("symbolic-ref", "--quiet", "--short", "HEAD"); branch != "" {
			return branch
		}
		return git("describe", "--tags", "--exact-match", "HEAD")
	case "GITHUB_REPOSITORY":
		if match := remoteSlug.FindStringSubmatch(git("remote", "get-url", "origin")); match != nil {
			return match[1]
		}
	}
	return ""
}
