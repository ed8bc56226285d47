// Package actions speaks with the runner of GitHub Actions: a step's environment
// becomes inputs, results become outputs, and log records become annotations.
//
// It stands apart so that no other part knows of workflows. Nothing that a builder
// or a registry says can pass for a command to the runner.
package actions

import (
	"errors"
	"fmt"

	"github.com/sethvargo/go-githubactions"
)

// Inputs are the action's inputs, as action.yml names them. A field is zero if its input is
// empty.
type Inputs struct {
	File        string
	Tags        []string // lines or commas separate them
	Platforms   []string // lines or commas separate them
	Push        bool
	Outputs     []string // a line each: type=…,dest=…
	Labels      []string // a line each: key=value
	CacheFrom   []string // a line each: type=…
	CacheTo     []string // a line each: type=…
	NoCache     bool
	Verify      bool
	GitHubToken string // secret
}

// InputError is what is wrong with one input.
type InputError struct {
	Input   string // as in action.yml
	Problem string
}

func (e *InputError) Error() string { return fmt.Sprintf("input %q: %s", e.Input, e.Problem) }

// ReadInputs reads the inputs from the environment of a step. The error joins one
// [*InputError] for each bad input.
func ReadInputs(getenv func(string) string) (Inputs, error) {
	r := reader{step: githubactions.New(githubactions.WithGetenv(getenv))}
	inputs := Inputs{
		File:        r.step.GetInput("file"),
		Tags:        r.list("tags", commaList),
		Platforms:   r.list("platforms", commaList),
		Push:        r.boolean("push"),
		Outputs:     r.list("outputs", rawLines),
		Labels:      r.list("labels", lineList),
		CacheFrom:   r.list("cache-from", rawLines),
		CacheTo:     r.list("cache-to", rawLines),
		NoCache:     r.boolean("no-cache"),
		Verify:      r.boolean("verify"),
		GitHubToken: r.step.GetInput("github-token"),
	}
	return inputs, errors.Join(r.errs...)
}

type reader struct {
	step *githubactions.Action
	errs []error
}

func (r *reader) list(name string, parse func(string) ([]string, error)) []string {
	list, err := parse(r.step.GetInput(name))
	if err != nil {
		r.errs = append(r.errs, &InputError{name, err.Error()})
	}
	return list
}

// boolean knows the spellings of YAML 1.2's core schema, §10.3.2, as the runner's own
// toolkit does.
func (r *reader) boolean(name string) bool {
	switch value := r.step.GetInput(name); value {
	case "true", "True", "TRUE":
		return true
	case "false", "False", "FALSE", "":
	default:
		r.errs = append(r.errs, &InputError{name, fmt.Sprintf("%q is not a boolean; write true or false", value)})
	}
	return false
}
