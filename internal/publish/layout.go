package publish

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/nixery-action/internal/plainfile"
	"github.com/org/nixery-action/internal/scratch"
)

const (
	// https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md: what skopeo and podman look a name up by.
	refNameAnnotation = "org.opencontainers.image.ref.name"
	// What docker and containerd name an image by when they load a layout.
	imageNameAnnotation = "io.containerd.image.name"

	// What an index.json may have, in bytes.
	maxIndex = 8 << 20

	layoutVersion = `{"imageLayoutVersion":"1.0.0"}`
)

// Layout writes an OCI image layout (https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md).
//
// Manifests keep their media types and so their digests: they are those that a registry would get. For each tag index.json gets an entry
// whose ref.name is the tag ("latest"), or the whole reference where two images of one call have the same tag. skopeo 1.9, of Debian 12,
// looks a name up among entries of OCI media types only; others it reads if they are the only entry and no name is given.
//
// go-containerregistry's layout package is not used: it writes index.json in place, so that a reader or a crash may see half of
// it, takes no context, and appends one image at a time.
type Layout struct {
	// Path is the directory, or the tar file; "-" is a tar on Stdout. Missing directories are made. A directory that holds
	// something else is refused; one that is a layout keeps its entries, but for those with a name that is now another's.
	Path string
	// Tar asks for a tar file: the layout's files sorted, with fixed times and owners, so that equal images give equal bytes.
	Tar bool
	// Jobs is how many layers are written at a time; 0 means 4.
	Jobs   int
	Stdout io.Writer
	// Sent is called with the number of bytes of layers that are written. Calls may overlap.
	Sent func(n int64)
}

var _ Destination = Layout{}

// CheckFirst implements [Destination].
func (Layout) CheckFirst() bool { return true }

// Check tells whether the directory or file can be written, and writes nothing that stays.
func (l Layout) Check(context.Context, []Artifact) error {
	if l.Tar {
		return checkFile(l.Path)
	}
	if err := checkDir(l.Path); err != nil {
		return err
	}
	return checkLayout(l.Path)
}

// Publish writes blobs, each through a temporary file, and replaces index.json or the tar file last, by renaming.
func (l Layout) Publish(ctx context.Context, artifacts []Artifact) ([]v1.Hash, error) {
	if err := l.Check(ctx, artifacts); err != nil {
		return nil, err
	}
	write := l.writeDir
	if l.Tar {
		write = l.writeTar
	}
	if err := write(ctx, artifacts); err != nil {
		return nil, explain(ctx, fmt.Errorf("writing layout %s: %w", l.Path, err))
	}
	return digests(artifacts)
}

func (l Layout) writeTar(ctx context.Context, artifacts []Artifact) error {
	return inTempDir(l.Path, func(dir string) error {
		directory := Layout{Path: dir, Jobs: l.Jobs, Sent: l.Sent}
		if err := directory.writeDir(ctx, artifacts); err != nil {
			return err
		}
		files, err := filesBelow(dir)
		if err != nil {
			return err
		}
		return writeTarTo(l.Path, l.Stdout, func(w io.Writer) error { return writeTar(ctx, w, files) })
	})
}

func (l Layout) writeDir(ctx context.Context, artifacts []Artifact) error {
	if err := os.MkdirAll(l.Path, 0o777); err != nil {
		return err
	}
	// First, so that a directory left by a failure is known for a layout by the next run.
	if err := l.writeFile("oci-layout", []byte(layoutVersion)); err != nil {
		return err
	}
	if err := l.blobs().write(ctx, artifacts); err != nil {
		return err
	}
	for _, a := range artifacts {
		if err := l.blobs().writeAttached(ctx, a); err != nil {
			return err
		}
	}
	entries, err := entries(artifacts)
	if err != nil {
		return err
	}
	index, err := readIndex(l.Path)
	if err != nil {
		return err
	}
	index.Manifests = append(others(index.Manifests, entries), entries...)
	raw, err := json.Marshal(index)
	if err != nil {
		return fmt.Errorf("encoding index.json: %w", err)
	}
	return l.writeFile("index.json", raw)
}

func (l Layout) blobs() *blobs {
	b := &blobs{root: l.Path, jobs: l.Jobs, sent: l.Sent}
	if b.jobs <= 0 {
		b.jobs = 4
	}
	if b.sent == nil {
		b.sent = func(int64) {}
	}
	return b
}

func (l Layout) writeFile(name string, content []byte) error {
	return scratch.Replace(filepath.Join(l.Path, name), func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// entries returns what index.json says of the artifacts: one descriptor for each tag, or one without a name, then one without a
// name for each attached manifest.
func entries(artifacts []Artifact) ([]v1.Descriptor, error) {
	var all []v1.Descriptor
	shared := sharedTags(artifacts)
	for _, a := range artifacts {
		m, err := a.manifest()
		if err != nil {
			return nil, err
		}
		desc, err := partial.Descriptor(m)
		if err != nil {
			return nil, fmt.Errorf("image %q: describing manifest: %w", a.Name, err)
		}
		for _, tag := range a.Tags {
			named := *desc
			named.Annotations = map[string]string{refNameAnnotation: tag.TagStr(), imageNameAnnotation: imageName(tag)}
			if shared[tag.TagStr()] {
				named.Annotations[refNameAnnotation] = imageName(tag)
			}
			all = append(all, named)
		}
		if len(a.Tags) == 0 {
			all = append(all, *desc)
		}
		attached, err := a.Attached()
		if err != nil {
			return nil, err
		}
		for _, image := range attached {
			desc, err := partial.Descriptor(image)
			if err != nil {
				return nil, fmt.Errorf("image %q: describing attached manifest: %w", a.Name, err)
			}
			all = append(all, *desc)
		}
	}
	return all, nil
}

// sharedTags returns the tags that are there more than once, in several images or repositories.
func sharedTags(artifacts []Artifact) map[string]bool {
	seen, shared := map[string]bool{}, map[string]bool{}
	for _, a := range artifacts {
		for _, tag := range a.Tags {
			shared[tag.TagStr()] = seen[tag.TagStr()]
			seen[tag.TagStr()] = true
		}
	}
	return shared
}

// imageName writes a reference as docker and containerd do, who know Docker Hub by another name.
func imageName(tag name.Tag) string {
	full := tag.Name()
	if rest, ok := strings.CutPrefix(full, name.DefaultRegistry+"/"); ok {
		return "docker.io/" + rest
	}
	return full
}

// others returns the old entries that stay beside the new ones.
func others(old, entries []v1.Descriptor) []v1.Descriptor {
	replaced := map[string]bool{}
	for _, e := range entries {
		replaced[entryKey(e)] = true
	}
	var kept []v1.Descriptor
	for _, o := range old {
		if !replaced[entryKey(o)] {
			kept = append(kept, o)
		}
	}
	return kept
}

// entryKey is an entry's name, or its digest if it has none.
func entryKey(d v1.Descriptor) string {
	if ref := d.Annotations[refNameAnnotation]; ref != "" {
		return "name " + ref
	}
	return "digest " + d.Digest.String()
}

// readIndex reads the index.json of a layout, or returns an empty one.
func readIndex(dir string) (*v1.IndexManifest, error) {
	raw, err := plainfile.ReadFile(filepath.Join(dir, "index.json"), maxIndex)
	if errors.Is(err, fs.ErrNotExist) {
		return &v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}, nil
	}
	if err != nil {
		return nil, err
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("reading index.json: %w", err)
	}
	return index, nil
}
