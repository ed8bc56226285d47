//go:build e2e

package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// ciLogin is who may use the registry of these tests. The password has what quoting and base64 get wrong.
var ciLogin = &authn.Basic{Username: "robot", Password: `p4"$: ~\` + strings.Repeat("long", 20)}

// ci is a checkout on a machine that can reach a release, and a registry that wants a login.
type ci struct {
	dir, bin, home string
	address        string // of the registry
	releases       string // a URL
}

func newCI(t *testing.T) *ci {
	t.Helper()
	spec := fmt.Sprintf("nixpkgs: {path: %s}\npackages: [hello, app]\narchitectures: [amd64, arm64]\n", tinySet(t))
	return &ci{
		dir:      checkout(t, "", map[string]string{"nixery.yaml": spec}),
		bin:      t.TempDir(),
		home:     t.TempDir(),
		address:  startPrivateRegistry(t),
		releases: startReleases(t),
	}
}

func (c *ci) put(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), mode)); err != nil {
		t.Fatal(err)
	}
}

// run runs a script as CI systems do: bash ends at the first command that fails.
func (c *ci) run(t *testing.T, script string, env ...string) string {
	t.Helper()
	cmd := exec.Command("bash", "-eo", "pipefail", "-c", strings.ReplaceAll(script, releases, c.releases))
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "HOME="+c.home, "DOCKER_CONFIG=", "PATH="+c.bin+":"+os.Getenv("PATH"))
	for _, variable := range env {
		cmd.Env = append(cmd.Env, strings.ReplaceAll(variable, releases, c.releases))
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Contains(string(out), ciLogin.Password) {
		t.Errorf("the password is in the log:\n%s", out)
	}
	return string(out)
}

func (c *ci) checkTags(t *testing.T, repository string, tags ...string) {
	t.Helper()
	digests := map[string]bool{}
	for _, tag := range tags {
		index, err := remote.Index(mustReference(t, c.address+"/"+repository+":"+tag), remote.WithAuth(ciLogin))
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := index.IndexManifest()
		if err != nil || len(manifest.Manifests) != 2 {
			t.Errorf("%s has not two platforms: %v", tag, err)
		}
		digest, err := index.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests[digest.String()] = true
	}
	if len(digests) != 1 {
		t.Errorf("the tags %q are of several images: %v", tags, digests)
	}
}

func mustReference(t *testing.T, text string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// startPrivateRegistry starts a registry that answers ciLogin only.
func startPrivateRegistry(t *testing.T) string {
	t.Helper()
	open := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != ciLogin.Username || password != ciLogin.Password {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		open.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// startReleases serves this program as a release has it.
func startReleases(t *testing.T) string {
	t.Helper()
	built, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(built, filepath.Join(dir, "nixery-action-linux-amd64")); err != nil {
		t.Fatal(err)
	}
	sums := exec.Command("sh", "-c", "sha256sum nixery-action-linux-amd64 >SHA256SUMS; echo $(printf %064d 0)'  nixery-action-linux-arm64' >>SHA256SUMS")
	sums.Dir = dir
	if out, err := sums.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(server.Close)
	return server.URL
}
