package spec

import (
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/org/nixery-action/internal/suggest"
)

// variables are the default environment variables of a workflow, from
// https://docs.github.com/en/actions/reference/workflows-and-actions/variables.
// No secret is among them: what is in a tag or label is there for all to read.
var variables = strings.Fields(`
	GITHUB_ACTION GITHUB_ACTION_PATH GITHUB_ACTION_REPOSITORY GITHUB_ACTIONS GITHUB_ACTOR GITHUB_ACTOR_ID
	GITHUB_API_URL GITHUB_BASE_REF GITHUB_ENV GITHUB_EVENT_NAME GITHUB_EVENT_PATH GITHUB_GRAPHQL_URL
	GITHUB_HEAD_REF GITHUB_JOB GITHUB_OUTPUT GITHUB_PATH GITHUB_REF GITHUB_REF_NAME GITHUB_REF_PROTECTED
	GITHUB_REF_TYPE GITHUB_REPOSITORY GITHUB_REPOSITORY_ID GITHUB_REPOSITORY_OWNER GITHUB_REPOSITORY_OWNER_ID
	GITHUB_RETENTION_DAYS GITHUB_RUN_ATTEMPT GITHUB_RUN_ID GITHUB_RUN_NUMBER GITHUB_SERVER_URL GITHUB_SHA
	GITHUB_STEP_SUMMARY GITHUB_TRIGGERING_ACTOR GITHUB_WORKFLOW GITHUB_WORKFLOW_REF GITHUB_WORKFLOW_SHA
	GITHUB_WORKSPACE`)

// dollar matches $$, ${NAME}, and a $ that is neither.
var dollar = regexp.MustCompile(`\$(?:\$|\{[^}]*\})?`)

// expand replaces ${NAME} by the variable's value, once, and $$ by $.
func (d *decoder) expand(n *yaml.Node, what, s string) (string, bool) {
	before := len(d.errs)
	expanded := dollar.ReplaceAllStringFunc(s, func(match string) string {
		switch match {
		case "$$":
			return "$"
		case "$":
			d.errorf(n, "%s %s: a $ begins a variable, such as ${GITHUB_SHA}; write $$ for a plain one", what, quote(s))
			return ""
		}
		return d.variable(n, what, match[len("${"):len(match)-len("}")])
	})
	return expanded, len(d.errs) == before
}

// variable looks up one name; what may not be looked up is an error.
func (d *decoder) variable(n *yaml.Node, what, name string) string {
	switch {
	case strings.HasPrefix(name, "{"):
		d.errorf(n, "%s: ${{ … }} is for workflows; a spec has GitHub's default variables, such as ${GITHUB_SHA}", what)
	case name == "GITHUB_TOKEN":
		d.errorf(n, "%s: ${GITHUB_TOKEN} is a secret, and everyone who pulls the image could read it", what)
	case !slices.Contains(variables, name) && !strings.HasPrefix(name, "GITHUB_"):
		d.errorf(n, "%s: ${%s} is not expanded; only GitHub's default variables are, such as ${GITHUB_SHA}; write $$ for a plain $", what, clip(name))
	case !slices.Contains(variables, name):
		d.errorf(n, "%s: ${%s} is not one of GitHub's default variables%s", what, clip(name), meant(name))
	default:
		value, ok := d.env(name)
		switch {
		case ok && value == "" && what == "tags":
			d.errorf(n, "tags: ${%s} is empty here, so the tag would not be what is meant; use one that is set, or give the tags elsewhere", name)
			return ""
		case ok:
			return value
		}
		d.errorf(n, "%s: ${%s} is not set; GitHub sets it in a workflow, and elsewhere you can: export %[2]s=…", what, name)
	}
	return ""
}

// meant ends an error about an unknown variable.
func meant(name string) string {
	if near := suggest.Nearest(name, variables, 1); len(near) > 0 {
		return "; did you mean ${" + near[0] + "}?"
	}
	return ", which https://docs.github.com/en/actions/reference/workflows-and-actions/variables lists"
}
