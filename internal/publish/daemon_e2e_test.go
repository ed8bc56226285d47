//go:build e2e

package publish

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/org/nixery-action/internal/registry/registrytest"
)

// startPodman starts podman's service as systemd does, on a socket that is there already: who connects early waits. It
// returns the socket's address.
func startPodman(t *testing.T, args []string) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	file, err := listener.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	service := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec podman "$@"`, "sh"}, args...)...)
	var said bytes.Buffer
	service.ExtraFiles, service.Stderr = []*os.File{file}, &said
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = errors.Join(service.Process.Signal(syscall.SIGTERM), service.Wait())
		if t.Failed() {
			t.Logf("podman said\n%s", &said)
		}
	})
	return "unix://" + socket
}

// podman's service speaks docker's API. It loads what was streamed, and has it under its tags.
func TestPodmanLoads(t *testing.T) {
	dir := t.TempDir()
	podman := func(args ...string) []string { return append([]string{"--storage-driver=vfs", "--root", dir}, args...) }
	d := newDaemon(t, startPodman(t, podman("system", "service", "--time=0")))
	image := registrytest.ImageOf(t, "amd64", registrytest.NewLayer(t, 1, 5_000_000), registrytest.NewLayer(t, 2, 10_000))
	artifact := Artifact{Name: "box", Image: image, Tags: []name.Tag{tagOf(t, "r.example/acme/box:latest"), tagOf(t, "r.example/acme/box:1")}}
	if err := d.Check(t.Context(), []Artifact{artifact}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Publish(t.Context(), []Artifact{artifact}); err != nil {
		t.Fatal(err)
	}
	id, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range artifact.Tags {
		var got []struct {
			ID     string
			RootFS struct{ Layers []v1.Hash }
		}
		if err := json.Unmarshal([]byte(run(t, "podman", podman("image", "inspect", tag.Name())...)), &got); err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || got[0].ID != id.Hex || len(got[0].RootFS.Layers) != 2 {
			t.Errorf("%s is %+v, want the image %s", tag, got, id)
		}
	}
	// What the daemon says of a fault in the middle is heard.
	broken := registrytest.NewLayer(t, 3, 10_000)
	broken.Known(t).Tar = registrytest.HashOf(nil)
	_, err = d.Publish(t.Context(), []Artifact{{Name: "broken", Image: registrytest.ImageOf(t, "amd64", broken)}})
	if err == nil || !strings.Contains(err.Error(), "loading images: ") {
		t.Errorf("a layer that is not what its config says: %v", err)
	}
}
