package main

import (
	"context"
	"errors"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/org/nixery-action/internal/actions"
	"github.com/org/nixery-action/internal/pipeline"
)

func newAction(c *console) *cobra.Command {
	return &cobra.Command{
		Use:    "action",
		Short:  "Run as a step of a workflow: inputs and outputs are those of action.yml",
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			inputs, wrong := actions.ReadInputs(os.LookupEnv)
			report, err := step(cmd.Context(), c, inputs, wrong)
			c.tell(cmd.Context(), inputs, report, err)
			return err
		},
	}
}

// step builds what the inputs ask for, and sets the outputs to what was published, even if
// something failed. What was wrong with inputs when they were read is told with what else is.
func step(ctx context.Context, c *console, inputs actions.Inputs, wrong error) (*pipeline.Report, error) {
	service, err := takeEnvironment()
	if err != nil {
		return nil, err
	}
	report, err := build(ctx, c, buildOptions{Inputs: inputs, step: true, wrong: wrong, service: service})
	if report == nil {
		return nil, err
	}
	return report, errors.Join(err, setOutputs(c.env.OutputFile, report))
}

// secretive are names of variables that may hold a secret, such as the password of
// a mirror of Nix, or the key of the cache.
var secretive = regexp.MustCompile("^((INPUT|ACTIONS|NIXERY_NIX)_|NIXERY_CACHE_KEY$)")

// takeEnvironment takes the step's inputs and tokens away from what Nix runs:
// builders see the environment where there is no sandbox. What it took can
// still be looked up.
func takeEnvironment() (func(string) string, error) {
	taken := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		if secretive.MatchString(name) {
			taken[name] = value
			if err := os.Unsetenv(name); err != nil {
				return nil, err
			}
		}
	}
	return func(name string) string { return taken[name] }, nil
}
