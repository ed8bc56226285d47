package publish

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/org/nixery-action/internal/registry/registrytest"
)

func TestArchive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image.tar")
	shared := registrytest.NewLayer(t, 1, 10_000)
	artifacts := []Artifact{
		{Name: "a", Image: registrytest.ImageOf(t, "amd64", shared, registrytest.NewLayer(t, 2, 100)), Tags: []name.Tag{tagOf(t, "r.example/a:2"), tagOf(t, "a:1")}},
		{Name: "b", Index: registrytest.IndexOf(registrytest.ImageOf(t, "amd64", shared)), Tags: []name.Tag{tagOf(t, "r.example/b:x")}},
	}
	digests, err := Archive{Path: path}.Publish(t.Context(), artifacts)
	if err != nil {
		t.Fatal(err)
	}
	if shared.Opens.Load() != 1 || len(digests) != 2 {
		t.Errorf("a shared layer was opened %d times; digests are %v", shared.Opens.Load(), digests)
	}
	for _, ref := range []string{"r.example/a:2", "r.example/b:x"} {
		tag := tagOf(t, ref)
		image, err := tarball.ImageFromPath(path, &tag)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(image); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
	}
	manifest, err := tarball.LoadManifest(openFile(path))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"docker.io/library/a:1", "r.example/a:2"}; !slices.Equal(manifest[0].RepoTags, want) {
		t.Errorf("tags are %q, want %q", manifest[0].RepoTags, want)
	}
	var stdout bytes.Buffer
	if _, err := (Archive{Path: "-", Stdout: &stdout}).Publish(t.Context(), artifacts); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(content, stdout.Bytes()) {
		t.Errorf("file and standard output differ: %v", err)
	}
	untar(t, content)
}

func TestArchiveOfSeveralPlatforms(t *testing.T) {
	artifact, layers := twoPlatforms(t, "box:1")
	_, err := Archive{Path: filepath.Join(t.TempDir(), "x.tar")}.Publish(t.Context(), []Artifact{artifact})
	var several *PlatformsError
	if !errors.As(err, &several) || several.Platforms != 2 || !strings.Contains(err.Error(), "type=oci") {
		t.Errorf("error is %v", err)
	}
	if layers[0].Opens.Load() != 0 {
		t.Error("a layer was read first")
	}
}

func openFile(path string) tarball.Opener {
	return func() (io.ReadCloser, error) { return os.Open(path) }
}
