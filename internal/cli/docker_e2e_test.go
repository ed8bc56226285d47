//go:build e2e

package cli

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// engine starts Docker's own engine for the script, and puts its address in DOCKER_HOST. Neither a process nor a mount of it
// outlives the script.
//
//	engine
func engine(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: engine")
	}
	dir, err := os.MkdirTemp("", "engine") // the name of a socket has 107 bytes at most, and the script's directory may have more
	ts.Check(err)
	cmd := exec.Command("../../testdata/scripts/docker", dir)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_, _ = io.Copy(io.Discard, stdout)
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	})
	host, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		ts.Fatalf("starting Docker's engine: %v", err)
	}
	ts.Setenv("DOCKER_HOST", strings.TrimSpace(host))
}

// docker runs Docker's command line, whose engine is that of the script. What it runs shares the network of this machine, since
// the engine has no bridge:
//
//	docker pull|load|run|… [ARG…]
func docker(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: docker COMMAND [ARG…]")
	}
	all := args
	if args[0] == "run" {
		all = append([]string{"run", "--rm", "--network=host"}, args[1:]...)
	}
	succeeds(ts, neg, ts.Exec("docker", all...))
}
