package cli

import (
	"errors"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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
		Example: "  nixery-action serve --storage ./depot\n" +
			"  nixery-action serve --storage gs://images --channel nixos-25.11 --address 0.0.0.0 --htpasswd users\n" +
			"  nixery-action serve --config serve.yaml --port 5000",
	}
	given := map[string][]string{}
	for i := range settings.Table {
		if row := &settings.Table[i]; row.Flag != "" {
			flag := cmd.Flags().VarPF(&settingFlag{row, given}, row.Flag, "", helpOf(row))
			if row.Value == "bool" {
				flag.NoOptDefVal = "true"
			}
		}
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := settings.Read(settings.Places{Flags: given, Env: os.LookupEnv})
		if err != nil {
			return badSettings(err)
		}
		return serveImages(cmd.Context(), c, s)
	}
	return cmd
}

// settingFlag notes what a flag was given; settings reads it together with the rest.
type settingFlag struct {
	row   *settings.Setting
	given map[string][]string
}

var _ pflag.Value = (*settingFlag)(nil)

// String implements [pflag.Value]: it is the default, for the help text.
func (f *settingFlag) String() string {
	if f.row == nil {
		return ""
	}
	return f.row.Default
}

// Set implements [pflag.Value].
func (f *settingFlag) Set(value string) error {
	f.given[f.row.Flag] = append(f.given[f.row.Flag], value)
	return nil
}

// Type implements [pflag.Value].
func (f *settingFlag) Type() string { return f.row.Value }

func helpOf(row *settings.Setting) string {
	help := row.Help
	if row.List {
		help += " (repeatable)"
	}
	return help + " [$" + row.Env + "]"
}

// environmentOnly lists what Nixery's deployments set, and what has no flag of its own.
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

// badSettings lets each be told on its own.
func badSettings(err error) error {
	var all []error
	if errs, ok := errors.AsType[settings.Errors](err); ok {
		for _, one := range errs {
			all = append(all, usageError{one})
		}
	}
	return errors.Join(all...)
}
