//go:build e2e

package publish

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/org/nixery-action/internal/registry"
	"github.com/org/nixery-action/internal/registry/registrytest"
)

// run runs a program and returns what it printed.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
	return string(out)
}

// startDistribution starts docker's registry with one user, u:hunter2, and returns its address.
func startDistribution(t *testing.T) string {
	t.Helper()
	server := exec.Command("../../testdata/scripts/registry", t.TempDir(), "u", "hunter2")
	server.Stderr = os.Stderr
	stdout, err := server.StdoutPipe()
	if err := errors.Join(err, server.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(server.Process.Signal(syscall.SIGTERM), server.Wait()) })
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("starting the registry: %v", err)
	}
	return strings.TrimSpace(address)
}

func TestDistribution(t *testing.T) {
	address := startDistribution(t)
	artifact, layers := twoPlatforms(t, address+"/acme/box:latest", address+"/acme/other:1")
	artifacts := []Artifact{artifact}
	var fault *registry.Error
	if err := NewRegistry(RegistryOptions{}).Check(t.Context(), artifacts); !errors.As(err, &fault) || fault.Kind != registry.Unauthorized {
		t.Errorf("without credentials: %v", err)
	}
	var mounted int
	r := NewRegistry(RegistryOptions{Client: registry.New(registry.Options{Keychain: fixedKeychain{"u", "hunter2"}}), Report: func(u Upload) {
		if u.How == Mounted {
			mounted++
		}
	}})
	if err := r.Check(t.Context(), artifacts); err != nil {
		t.Fatal(err)
	}
	digests, err := r.Publish(t.Context(), artifacts)
	if err != nil {
		t.Fatal(err)
	}
	if mounted != len(layers) || layers[0].Opens.Load() != 1 {
		t.Errorf("%d of %d layers were mounted; one was opened %d times", mounted, len(layers), layers[0].Opens.Load())
	}
	for _, tag := range artifact.Tags {
		raw := run(t, "skopeo", "inspect", "--raw", "--tls-verify=false", "--creds", "u:hunter2", "docker://"+tag.Name())
		if registrytest.HashOf([]byte(raw)) != digests[0] {
			t.Errorf("%s is %s, want %s", tag, raw, digests[0])
		}
	}
	copied := "dir:" + t.TempDir()
	run(t, "skopeo", "copy", "--all", "--src-tls-verify=false", "--src-creds", "u:hunter2", "docker://"+artifact.Tags[1].Name(), copied)
}

// Debian 12's skopeo, 1.9, finds an entry by name only if its media type is one of OCI; here it takes the only entry.
func TestSkopeoReadsLayouts(t *testing.T) {
	dir := t.TempDir()
	directory, file := filepath.Join(dir, "layout"), filepath.Join(dir, "layout.tar")
	var digests []v1.Hash
	for _, l := range []Layout{{Path: directory}, {Path: file, Tar: true}} {
		artifact, _ := twoPlatforms(t, "r.example/acme/box:latest")
		var err error
		if digests, err = l.Publish(t.Context(), []Artifact{artifact}); err != nil {
			t.Fatal(err)
		}
	}
	for _, ref := range []string{"oci:" + directory, "oci-archive:" + file} {
		if raw := run(t, "skopeo", "inspect", "--raw", ref); registrytest.HashOf([]byte(raw)) != digests[0] {
			t.Errorf("%s is %s, want %s", ref, raw, digests[0])
		}
		run(t, "skopeo", "copy", "--all", ref, "dir:"+t.TempDir())
	}
}

func TestSkopeoReadsArchives(t *testing.T) {
	file := filepath.Join(t.TempDir(), "box.tar")
	image := registrytest.ImageOf(t, "amd64", registrytest.NewLayer(t, 1, 10_000), registrytest.NewLayer(t, 2, 10_000))
	artifact := Artifact{Name: "box", Image: image, Tags: []name.Tag{tagOf(t, "r.example/acme/box:latest")}}
	if _, err := (Archive{Path: file}).Publish(t.Context(), []Artifact{artifact}); err != nil {
		t.Fatal(err)
	}
	ref := "docker-archive:" + file + ":r.example/acme/box:latest"
	var config v1.ConfigFile
	if err := json.Unmarshal([]byte(run(t, "skopeo", "inspect", "--config", ref)), &config); err != nil {
		t.Fatal(err)
	}
	if len(config.RootFS.DiffIDs) != 2 || config.Architecture != "amd64" {
		t.Errorf("config is %+v", config)
	}
	run(t, "skopeo", "copy", ref, "dir:"+t.TempDir())
	loaded := run(t, "podman", "--storage-driver=vfs", "--root", t.TempDir(), "load", "-q", "-i", file)
	if !strings.Contains(loaded, "r.example/acme/box:latest") {
		t.Errorf("podman loaded %q", loaded)
	}
}
