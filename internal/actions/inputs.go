// Package actions speaks with the runner of GitHub Actions: a step's environment
// becomes inputs, results become outputs, and log records become annotations.
//
// It stands apart so that no other part knows of workflows. Nothing that a builder
// or a registry says can pass for a command to the runner.
package actions

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sethvargo/go-githubactions"
)

// Inputs are the action's inputs. [InputTable] says what each one means. A field
// is zero if its input is empty; a switch or choice then has its default.
type Inputs struct {
	File         string
	Context      string
	Images       []string
	Packages     []string
	Nixpkgs      string
	Tags         []string // nil if not given: then they are the spec's; if given and empty, there are none
	Labels       []string // key=value
	Annotations  []string // key=value, or with docker's prefixes
	Platforms    []string
	Push         bool
	Load         bool
	Outputs      []string // type=…,dest=…
	CacheFrom    []string // type=…
	CacheTo      []string // type=…
	CacheKey     string   // secret
	NoCache      bool
	Verify       bool
	MetadataFile string
	InstallNix   string // auto or never
	Summary      bool
	Comment      bool
	GitHubToken  string // secret
}

// InputError is what is wrong with one input.
type InputError struct {
	Input   string // as in action.yml
	Problem string
	Cause   error // that Problem tells of; may be nil
}

func (e *InputError) Error() string { return fmt.Sprintf("input %q: %s", e.Input, e.Problem) }

func (e *InputError) Unwrap() error { return e.Cause }

// ReadInputs reads the inputs from the environment of a step, in which lookup reports
// whether a variable is set at all. The error joins one [*InputError] for each bad
// input; the others are read all the same.
func ReadInputs(lookup func(string) (string, bool)) (Inputs, error) {
	var inputs Inputs
	var errs []error
	for _, input := range inputTable {
		given := false
		step := githubactions.New(githubactions.WithGetenv(func(name string) (value string) {
			value, given = lookup(name)
			return value
		}))
		text := step.GetInput(input.Name)
		if input.Marker && !given {
			text = input.Default
		}
		if err := input.read(text, &inputs); err != nil {
			errs = append(errs, &InputError{Input: input.Name, Problem: err.Error()})
		}
	}
	return inputs, errors.Join(errs...)
}

func (in Input) read(text string, into *Inputs) (err error) {
	switch field := in.field(into).(type) {
	case *bool:
		*field, err = in.boolean(text)
	case *string:
		*field, err = in.word(text)
	case *[]string:
		*field, err = in.list(text)
	}
	return err
}

// boolean knows the spellings of YAML 1.2's core schema, §10.3.2, as the runner's own
// toolkit does.
func (in Input) boolean(text string) (bool, error) {
	if text == "" {
		text = in.Default
	}
	switch text {
	case "true", "True", "TRUE":
		return true, nil
	case "false", "False", "FALSE":
		return false, nil
	}
	return false, fmt.Errorf("%q is not a boolean; write true or false", text)
}

func (in Input) word(text string) (string, error) {
	switch {
	case in.Kind == Path && strings.ContainsAny(text, "\r\n\x00"):
		return "", fmt.Errorf("%q is no path; want one, on a line", text)
	case in.Kind != Choice:
		return text, nil
	case text == "":
		return in.Default, nil
	case !slices.Contains(in.Words, text):
		return "", fmt.Errorf("%q is not one of %s", text, strings.Join(in.Words, ", "))
	}
	return text, nil
}

func (in Input) list(text string) ([]string, error) {
	if !in.Marker {
		return in.items(text)
	}
	if text == in.Default {
		return nil, nil
	}
	list, err := in.items(text)
	given := []string{}
	for _, item := range list {
		given = appendItem(given, item)
	}
	return given, err
}

func (in Input) items(text string) ([]string, error) {
	if in.Metadata && strings.HasPrefix(text, "{") {
		return partOf(text, in.Name)
	}
	switch in.Kind {
	case Commas:
		return commaList(text)
	case Words:
		return wordList(text)
	case Lines:
		return lineList(text)
	default:
		return rawLines(text)
	}
}
