package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/org/nixery-action/internal/suggest"
)

// usageError is a mistake in the command line: exit code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// newRoot returns the program's command, with all others below it.
func newRoot(c *console) *cobra.Command {
	root := &cobra.Command{
		Use:   "nixery-action",
		Short: "Container images from Nix packages",
		Long: "nixery-action builds container images from Nix packages: a YAML spec names\n" +
			"packages and architectures, and an image for each, and an index over them, goes\n" +
			"to a registry, an OCI layout, a docker archive or docker's daemon.\n\n" +
			"Exit codes: 0 success; 1 the run failed; 2 the command line, an input or the spec\n" +
			"must be changed.",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentFlags().Bool("debug", false, "log what Nix prints too, and what becomes of each layer")
	root.PersistentFlags().BoolP("quiet", "q", false, "log warnings and errors only, and no progress")
	root.MarkFlagsMutuallyExclusive("debug", "quiet")
	root.SetFlagErrorFunc(proposeFlag)
	root.AddCommand(newBuild(c), newPlan(c), newDiff(c), newPopularity(c), newServe(c), newCacheCommand(c), newAction(c))
	return root
}

// execute runs the command that args name.
func execute(ctx context.Context, c *console, args []string) error {
	root := newRoot(c)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	root.SetArgs(args)
	started := false
	eachBelow(root, func(sub *cobra.Command) {
		if sub.Args == nil {
			sub.Args = cobra.NoArgs
		}
		work := sub.RunE
		sub.RunE = func(cmd *cobra.Command, args []string) error {
			started = true
			debug, _ := cmd.Flags().GetBool("debug")
			quiet, _ := cmd.Flags().GetBool("quiet")
			c.speak(debug, quiet)
			return work(cmd, args)
		}
	})
	err := root.ExecuteContext(ctx)
	if err != nil && !started {
		return usageError{fmt.Errorf("%w; see nixery-action --help", err)}
	}
	return err
}

// proposeFlag adds to the error of an unknown flag the one that is spelled like it, as
// --platform for --platforms.
func proposeFlag(cmd *cobra.Command, err error) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return err
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := suggest.Nearest(unknown.GetSpecifiedName(), names, 1); len(near) > 0 {
		return fmt.Errorf("%w; did you mean --%s?", err, near[0])
	}
	return err
}

// onlyFlags refuses arguments, and proposes -f for what may be a spec.
func onlyFlags(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("%s takes no argument; to name the spec, write -f %s", cmd.CommandPath(), args[0])
}

// eachBelow visits the commands below cmd.
func eachBelow(cmd *cobra.Command, visit func(*cobra.Command)) {
	for _, sub := range cmd.Commands() {
		visit(sub)
		eachBelow(sub, visit)
	}
}
