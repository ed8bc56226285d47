//go:build e2e

package serve

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/crane"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// TestClients pulls Debian's bash and jq by name, with every client that there is here; the first of them has it built.
func TestClients(t *testing.T) {
	r, builds := newRealRegistry(t, debian(t), nil)
	host := strings.TrimPrefix(r.url, "http://")
	name := host + "/shell/jq"

	t.Run("containerd's order", func(t *testing.T) { r.pullLikeContainerd(t, "shell/jq") })
	t.Run("crane", func(t *testing.T) {
		img, err := crane.Pull(name, crane.Insecure, crane.WithPlatform(&v1.Platform{OS: "linux", Architecture: "arm64"}))
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(img); err != nil { // reads and hashes everything
			t.Error(err)
		}
		config, err := img.ConfigFile()
		if err != nil || config.Architecture != "arm64" {
			t.Errorf("got %v, %v", config, err)
		}
	})
	t.Run("skopeo", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "layout")
		run(t, "skopeo", "copy", "--quiet", "--all", "--src-tls-verify=false", "docker://"+name, "oci:"+dir)
		copied, err := layout.ImageIndexFromPath(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Index(copied); err != nil {
			t.Error(err)
		}
		raw := run(t, "skopeo", "inspect", "--raw", "--tls-verify=false", "docker://"+host+"/arm64/shell/jq")
		if !strings.Contains(raw, `"mediaType":"application/vnd.docker.distribution.manifest.v2+json"`) {
			t.Errorf("arm64/shell/jq is %s", raw)
		}
	})
	t.Run("podman", func(t *testing.T) {
		podman := newPodman(t)
		for _, image := range []string{name, host + "/amd64/shell/jq"} { // an index, and an image alone
			podman(t, "pull", "--quiet", "--tls-verify=false", image)
			out := podman(t, "run", "--rm", "--network=host", "--ulimit=nofile=1024:2048", "--ulimit=nproc=1024:2048", image,
				"bash", "-c", `echo '{"a": [1, 2]}' | jq .a[1]; test -L /usr/bin/env && echo env`)
			if out != "2\nenv\n" {
				t.Errorf("%s says %q", image, out)
			}
		}
	})
	if n := builds.Load(); n != 1 { // the index has what others ask for alone, and the ledgers know it
		t.Errorf("%d runs of nix-build", n)
	}
}

// pullLikeContainerd asks as containerd does: https://github.com/containerd/containerd/blob/main/core/remotes/docker/resolver.go
func (r *registry) pullLikeContainerd(t *testing.T, name string) {
	accept := strings.Join([]string{dockerTypes, ociTypes, "*/*"}, ", ")
	head := r.do(http.MethodHead, "/v2/"+name+"/manifests/latest?ns=example.com", "Accept", accept)
	if head.StatusCode != http.StatusOK || head.ContentLength <= 0 {
		t.Fatalf("HEAD: %s, %d bytes", head.Status, head.ContentLength)
	}
	index := r.get("/v2/"+name+"/manifests/"+head.digest(), "Accept", head.Header.Get("Content-Type")+", */*")
	if index.digest() != head.digest() || int64(len(index.content)) != head.ContentLength {
		t.Errorf("HEAD told %s, %d bytes; GET gave %s, %d bytes", head.digest(), head.ContentLength, index.digest(), len(index.content))
	}
	for _, d := range index.index(t).Manifests {
		m := r.get("/v2/"+name+"/manifests/"+d.Digest.String(), "Accept", string(d.MediaType)+", */*").manifest(t)
		for _, d := range append(m.Layers, m.Config) {
			if blob := r.get("/v2/" + name + "/blobs/" + d.Digest.String()); int64(len(blob.content)) != d.Size {
				t.Errorf("%s: %d bytes, not %d", d.Digest, len(blob.content), d.Size)
			}
		}
	}
	// A download that broke off goes on where it was.
	r.resume(t, "/v2/"+name+"/blobs/"+r.get("/v2/" + name + "/manifests/latest").manifest(t).Layers[0].Digest.String())
}

func (r *registry) resume(t *testing.T, path string) {
	whole := r.get(path)
	hash := sha256.New()
	for _, field := range []string{"bytes=0-999", "bytes=1000-"} {
		part := r.do(http.MethodGet, path, "Range", field)
		if part.StatusCode != http.StatusPartialContent {
			t.Errorf("%s: %s", field, part.Status)
		}
		hash.Write(part.content)
	}
	if got := fmt.Sprintf("sha256:%x", hash.Sum(nil)); got != whole.digest() {
		t.Errorf("in two parts it is %s, and whole %s", got, whole.digest())
	}
}

// newPodman is podman with a store of its own. Where it cannot lay layers over each other, as in a container, it copies them.
func newPodman(t *testing.T) func(t *testing.T, args ...string) string {
	dir, err := os.MkdirTemp("", "podman") // podman wants a name of 50 characters at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	flags := func(driver string) []string {
		return []string{"--root=" + dir + "/" + driver, "--runroot=" + dir + "/run-" + driver, "--tmpdir=" + dir + "/tmp",
			"--storage-driver=" + driver, "--runtime=runc", "--cgroup-manager=cgroupfs", "--events-backend=none"}
	}
	driver := "overlay"
	if exec.Command("podman", append(flags(driver), "info")...).Run() != nil {
		driver = "vfs"
	}
	return func(t *testing.T, args ...string) string {
		t.Helper()
		return run(t, "podman", append(flags(driver), args...)...)
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}
