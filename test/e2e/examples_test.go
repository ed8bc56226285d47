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
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"gopkg.in/yaml.v3"

	"github.com/org/nixery-action/test/pages"
)

// places stand in for what examples and pages name and this machine does not reach.
type places struct {
	open     string // for ghcr.io: a registry
	private  string // for registry.example.org: one that wants user and password
	packages string // for nixpkgs: a directory, a git repository and a flake, all in one
}

const user = "robot"

func newPlaces(t *testing.T) places {
	t.Helper()
	packages, err := packageSet()
	if err != nil {
		t.Fatal(err)
	}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	private := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if gotUser, gotPassword, _ := r.BasicAuth(); gotUser != user || gotPassword != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="private"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(private.Close)
	return places{startRegistry(t), strings.TrimPrefix(private.URL, "http://"), packages}
}

// packageSet makes the repository of testdata/standin and the tiny set, once for all tests: what is of one content has one name in the store.
var packageSet = sync.OnceValues(func() (string, error) {
	dir, err := filepath.Abs(".work/standin")
	if err != nil {
		return "", err
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	err = errors.Join(os.CopyFS(dir, os.DirFS("testdata/standin")), os.CopyFS(filepath.Join(dir, "tiny"), os.DirFS("testdata/tiny")))
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"}, {"add", "."},
		{"-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "packages"},
	} {
		_, gitErr := program(dir, nil, "git", args...).Output()
		err = errors.Join(err, gitErr)
	}
	return dir, err
})

var channel = regexp.MustCompile(`channel: (nixos-[\w.]+|[0-9a-f]{40})|nixpkgs: nixos-[\w.]+`)

// standIn puts the places into a spec, workflow or script. All else in it stays.
func (p places) standIn(text string) string {
	text = channel.ReplaceAllStringFunc(text, func(source string) string {
		if strings.HasPrefix(source, "channel") {
			return "path: " + p.packages
		}
		return "nixpkgs: " + p.packages
	})
	return strings.NewReplacer(
		"ghcr.io", p.open,
		"registry.example.org", p.private,
		"https://git.example.org/acme/packages.git", "file://"+p.packages,
		"github:acme/packages", "git+file://"+p.packages,
		"../testdata/tiny", p.packages,
	).Replace(text)
}

// exampleFiles are those of examples/ that a checkout would have at its root, and a spec for the workflows that do not name one.
func (p places) exampleFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{
		"nixery.yaml":         fmt.Sprintf("nixpkgs: {path: %s}\nrepository: %s/acme/toolbox\npackages: [hello, app]\narchitectures: [amd64, arm64]\n", p.packages, p.open),
		"overlay/default.nix": pages.Read(t, "examples/overlay/default.nix"),
	}
	specs, err := filepath.Glob("examples/*.yaml")
	if err != nil || len(specs) < 6 {
		t.Fatalf("the specs are %q: %v", specs, err)
	}
	for _, spec := range specs {
		files[filepath.Base(spec)] = p.standIn(pages.Read(t, spec))
	}
	return files
}

// pull fetches everything under a reference, and checks every digest in it.
func (p places) pull(t *testing.T, reference string) (digest v1.Hash, platforms int) {
	t.Helper()
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	auth := authn.Anonymous
	if ref.Context().RegistryStr() == p.private {
		auth = &authn.Basic{Username: user, Password: password}
	}
	index, err := remote.Index(ref, remote.WithAuth(auth))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	digest, digestErr := index.Digest()
	if err := errors.Join(err, digestErr, validate.Index(index)); err != nil {
		t.Fatalf("%s: %v", reference, err)
	}
	return digest, len(manifest.Manifests)
}

// build runs the program on a spec of the directory, and pushes what it makes. It returns the references that were printed.
func build(t *testing.T, dir, spec string) []string {
	t.Helper()
	built, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := program(dir, []string{"GITHUB_SHA=0123456789abcdef0123456789abcdef01234567", "NIX_CONFIG=" + os.Getenv("NIX_CONFIG") + "\nexperimental-features = nix-command flakes"},
		built, "build", "--file", spec, "--push")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	return strings.Fields(string(out))
}

// The specs in examples/ become images, of stand-ins for their packages.
func TestExampleSpecs(t *testing.T) {
	p := newPlaces(t)
	dir := t.TempDir()
	files := p.exampleFiles(t)
	specs := 0
	writeFiles(t, dir, files)
	for file, text := range files {
		var spec struct{ Repository, Images any }
		// The registry itself is a package of real sources, which the stand-in for nixpkgs cannot build.
		if filepath.Ext(file) != ".yaml" || file == "serve.yaml" || yaml.Unmarshal([]byte(text), &spec) != nil || spec.Repository == nil && spec.Images == nil {
			continue
		}
		specs++
		t.Run(file, func(t *testing.T) {
			for _, reference := range build(t, dir, file) {
				want := 1 + strings.Count(text, "[amd64, arm64]")/max(1, strings.Count(text, "repository:"))
				if _, platforms := p.pull(t, reference); platforms != want {
					t.Errorf("%s has %d platforms, want %d", reference, platforms, want)
				}
			}
		})
	}
	if specs < 5 {
		t.Errorf("only %d specs were found", specs)
	}
}
