// Command nixery-action builds multi-architecture container images from Nix
// packages, on a command line or as a step of a workflow.
package main

import (
	"os"

	"github.com/org/nixery-action/internal/cli"
)

// version is set by the linker.
var version = "unknown"

func main() { os.Exit(cli.Main(version)) }
