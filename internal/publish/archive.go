package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Archive writes what `docker load` and `podman load` read: a tar with manifest.json, configs and layers. Its format has no
// index, so each artifact may have one platform only.
//
// go-containerregistry's tarball package gives the format's types only: its writer asks for every layer's digest before the first
// byte, which an unread layer does not have, and writes the file in place.
type Archive struct {
	// Path is the tar file; "-" is Stdout. Missing directories are made.
	Path string
	// Jobs is how many layers are written at a time; 0 means 4.
	Jobs   int
	Stdout io.Writer
	// Sent is called with the number of bytes of layers that are written. Calls may overlap.
	Sent func(n int64)
}

var _ Destination = Archive{}

// PlatformsError is an image of several platforms, or of none, for a destination that holds exactly one.
type PlatformsError struct {
	Name      string // the image's, in the spec
	Platforms int
}

func (e *PlatformsError) Error() string {
	return fmt.Sprintf("image %q has %d platforms, and a docker archive or daemon takes one: choose it with platforms (--platform linux/amd64), "+
		"or use type=oci", e.Name, e.Platforms)
}

// CheckFirst implements [Destination].
func (Archive) CheckFirst() bool { return true }

// Check tells whether the file can be written. It cannot know the number of platforms; see PlatformsError.
func (a Archive) Check(context.Context, []Artifact) error { return checkFile(a.Path) }

// Publish writes the layers beside Path first, to measure them, and replaces the file at Path last. The digests are
// those of the images, though a docker archive holds no manifests. Several platforms are a *PlatformsError.
func (a Archive) Publish(ctx context.Context, artifacts []Artifact) ([]v1.Hash, error) {
	if err := a.Check(ctx, artifacts); err != nil {
		return nil, err
	}
	images := make([]v1.Image, len(artifacts))
	for i, artifact := range artifacts {
		image, err := onlyImage(artifact)
		if err != nil {
			return nil, err
		}
		images[i] = image
	}
	if err := a.write(ctx, artifacts, images); err != nil {
		return nil, explain(ctx, fmt.Errorf("writing docker archive %s: %w", a.Path, err))
	}
	return digests(artifacts)
}

func onlyImage(a Artifact) (v1.Image, error) {
	images, err := a.images()
	if err != nil {
		return nil, err
	}
	if len(images) != 1 {
		return nil, &PlatformsError{Name: a.Name, Platforms: len(images)}
	}
	return images[0], nil
}

func (a Archive) write(ctx context.Context, artifacts []Artifact, images []v1.Image) error {
	return inTempDir(a.Path, func(dir string) error {
		layout := Layout{Path: dir, Jobs: a.Jobs, Sent: a.Sent}
		if err := layout.blobs().write(ctx, artifacts); err != nil {
			return err
		}
		files, err := archiveFiles(layout, artifacts, images)
		if err != nil {
			return err
		}
		return writeTarTo(a.Path, a.Stdout, func(w io.Writer) error { return writeTar(ctx, w, files) })
	})
}

// archiveFiles writes manifest.json into the layout, and names its blobs as docker expects them.
func archiveFiles(layout Layout, artifacts []Artifact, images []v1.Image) ([]tarEntry, error) {
	var described tarball.Manifest
	paths := map[string]string{"manifest.json": filepath.Join(layout.Path, "manifest.json")}
	for i, image := range images {
		manifest, err := image.Manifest()
		if err != nil {
			return nil, fmt.Errorf("image %q: reading manifest: %w", artifacts[i].Name, err)
		}
		d := describe(artifacts[i], manifest)
		paths[d.Config] = layout.blobs().path(manifest.Config.Digest)
		for j, layer := range manifest.Layers {
			paths[d.Layers[j]] = layout.blobs().path(layer.Digest)
		}
		described = append(described, d)
	}
	raw, err := json.Marshal(described)
	if err != nil {
		return nil, fmt.Errorf("encoding manifest.json: %w", err)
	}
	if err := layout.writeFile("manifest.json", raw); err != nil {
		return nil, err
	}
	files := make([]tarEntry, 0, len(paths))
	for name, path := range paths {
		files = append(files, tarEntry{name: name, path: path})
	}
	return files, nil
}

// describe is what manifest.json says of an image: the names of its files, and its tags.
func describe(a Artifact, manifest *v1.Manifest) tarball.Descriptor {
	d := tarball.Descriptor{Config: manifest.Config.Digest.Hex + ".json", RepoTags: repoTags(a)}
	for _, layer := range manifest.Layers {
		d.Layers = append(d.Layers, layer.Digest.Hex+layerSuffix(layer))
	}
	return d
}

func layerSuffix(layer v1.Descriptor) string {
	if strings.HasSuffix(string(layer.MediaType), "zstd") {
		return ".tar.zst"
	}
	return ".tar.gz"
}

func repoTags(a Artifact) []string {
	tags := make([]string, 0, len(a.Tags))
	for _, tag := range a.Tags {
		tags = append(tags, imageName(tag))
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}
