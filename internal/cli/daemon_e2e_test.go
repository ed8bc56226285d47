//go:build e2e

package cli

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// daemon starts podman's service, which speaks docker's API, over the store of
// the script's podman, and puts its address in DOCKER_HOST. It is started as
// systemd does it, on a socket that is there already: who connects early waits.
//
//	daemon
func daemon(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: daemon")
	}
	ts.Check(preparePodman(ts))
	socket := filepath.Join(ts.Getenv("PODMAN"), "s")
	listener, err := net.Listen("unix", socket)
	ts.Check(err)
	defer listener.Close()
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	file, err := listener.(*net.UnixListener).File()
	ts.Check(err)
	defer file.Close()
	command := append([]string{"-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec podman "$@"`, "sh"}, podmanFlags(ts)...)
	service := exec.Command("sh", append(command, "system", "service", "--time=0")...)
	service.ExtraFiles = []*os.File{file}
	ts.Check(service.Start())
	ts.Defer(func() {
		_ = service.Process.Signal(syscall.SIGTERM)
		_ = service.Wait()
	})
	ts.Setenv("DOCKER_HOST", "unix://"+socket)
}
