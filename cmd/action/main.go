// Command nixery-action builds multi-architecture container images from Nix
// packages, on a command line or as a step of a workflow.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker.
var version = "unknown"

func main() { os.Exit(run(os.Args[1:])) }

// run is the program but for the exit. After a first signal it takes its time
// to clean up; the same signal often comes twice, from the terminal and from a
// parent that forwards it, so further ones change nothing, but for serve.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	c := newConsole()
	defer c.close()
	return c.exit(execute(ctx, c, args))
}
