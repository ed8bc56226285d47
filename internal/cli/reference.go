package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

//go:generate go test . -run TestReference -update

// reference is docs/cli.md: all commands that --help shows, with their flags.
func reference(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("# Commands\n\nGenerated from the commands by `go generate ./internal/cli`.\n\n" +
		root.Long + "\n\nShell completions: `nixery-action completion bash`, `zsh` or `fish` prints a script for the shell.\n")
	writeFlags(&b, "Flags of every command", root.PersistentFlags())
	eachBelow(root, func(cmd *cobra.Command) {
		if cmd.Hidden || !cmd.Runnable() || cmd.Name() == "help" || cmd.Name() == "completion" || cmd.Parent().Name() == "completion" {
			return
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", cmd.CommandPath(), cmd.Long)
		if cmd.Example != "" {
			fmt.Fprintf(&b, "\n```\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(cmd.Example, "  "), "\n  ", "\n"))
		}
		writeFlags(&b, "Flags", cmd.LocalNonPersistentFlags())
	})
	return b.String()
}

// writeFlags writes a table in pflag's own words, as --help has it.
func writeFlags(b *strings.Builder, title string, flags *pflag.FlagSet) {
	if usages := flags.FlagUsages(); usages != "" {
		fmt.Fprintf(b, "\n%s:\n\n```\n%s```\n", title, usages)
	}
}
