package cli

import (
	"errors"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/org/nixery-action/internal/serve/settings"
)

func newServe(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve a registry that builds images when they are pulled",
		Long: "serve is a registry whose images have the packages that their names list:\n" +
			"docker pull HOST/shell/git/htop. What is pulled for the first time is built then,\n" +
			"and kept. It runs until SIGTERM, and lets downloads end. When it listens, its\n" +
			"address is printed on standard output.\n\n" +
			"A setting can also stand in the environment, in the variable named beside it, or\n" +
			"in the file of --config under the flag's name; flags come first, then variables.\n" +
			environmentOnly(),
		Example: "  nixery-action serve --storage ./blobs\n" +
			"  nixery-action serve --storage gs://images --channel nixos-25.11 --address 0.0.0.0 --htpasswd users\n" +
			"  nixery-action serve --config serve.yaml --port 5000",
	}
	settings.AddFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := settings.Read(cmd.Flags(), os.Environ)
		if err != nil {
			return badSettings(err)
		}
		return serveImages(cmd.Context(), c, s)
	}
	return cmd
}

// environmentOnly lists the variables that have no flag.
func environmentOnly() string {
	var b strings.Builder
	b.WriteString("Nixery's variables without a flag are understood, too:\n\n")
	for _, row := range settings.Table {
		if row.Flag == "" {
			b.WriteString("  " + row.Env + strings.Repeat(" ", 24-len(row.Env)) + strings.ReplaceAll(row.Help, "`", "") + "\n")
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// badSettings makes a usageError of each error, so that each is a diagnostic of its own.
func badSettings(err error) error {
	var all []error
	if errs, ok := errors.AsType[settings.Errors](err); ok {
		for _, one := range errs {
			all = append(all, usageError{one})
		}
	}
	return errors.Join(all...)
}
