package cli

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/org/nixery-action/internal/actions"
	"github.com/org/nixery-action/internal/build"
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
func step(ctx context.Context, c *console, inputs actions.Inputs, wrong error) (*build.Report, error) {
	report, err := runBuild(ctx, c, buildOptions{Inputs: inputs, step: true, wrong: wrong})
	if report == nil {
		return nil, err
	}
	return report, errors.Join(err, setOutputs(c.env.OutputFile, report))
}
