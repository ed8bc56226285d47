// Package cli is the command line: commands and flags, the inputs of a step, and
// diagnostics with their place in the spec. One file a command.
package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is what Main was given.
var version = "unknown"

// Main runs the process: nixery-action of that version, with the arguments and
// the environment of the process. It returns the exit code.
func Main(v string) int {
	version = v
	err := concealEnvironment()
	return run(os.Args[1:], err)
}

// run is the program but for the exit. After a first signal it takes its time
// to clean up; the same signal often comes twice, from the terminal and from a
// parent that forwards it, so further ones change nothing, but for serve. A log that is read
// no longer does not end it. bared is why its environment can be read by others.
func run(args []string, bared error) int {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // and so a write to a closed pipe is an error
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	c := newConsole()
	defer c.close()
	if bared != nil {
		c.log.Warn("builders without a sandbox can read this program's environment, with its tokens, in /proc", "cause", bared)
	}
	return c.exit(execute(ctx, c, args))
}
