package cli

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/explain"
	"github.com/org/nixery-action/internal/plainfile"
)

// refName is the annotation under which a layout has an image's tag
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md).
const refName = "org.opencontainers.image.ref.name"

// maxManifest bounds what is read of manifests and configurations in a layout.
const maxManifest = 8 << 20

// readLayout reads the image in an OCI layout that has the tag, or the only one.
func readLayout(dir, tag string) ([]explain.Contents, error) {
	raw, err := plainfile.ReadFile(filepath.Join(dir, "index.json"), maxManifest)
	if err != nil {
		return nil, usagef("%s is no OCI layout: %w", dir, err)
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, usagef("%s is no OCI layout: index.json: %w", dir, err)
	}
	entry, err := chooseEntry(index.Manifests, tag)
	if err != nil {
		return nil, usagef("%s: %w", dir, err)
	}
	contents, err := readEntry(dir, entry)
	if err != nil {
		return nil, fmt.Errorf("reading layout %s: %w", dir, err)
	}
	return contents, nil
}

func chooseEntry(entries []v1.Descriptor, tag string) (v1.Descriptor, error) {
	var found []v1.Descriptor
	var names []string
	for _, e := range entries {
		names = append(names, fmt.Sprintf("%q", e.Annotations[refName]))
		if tag != "" && e.Annotations[refName] != tag {
			continue
		}
		if !slices.ContainsFunc(found, func(f v1.Descriptor) bool { return f.Digest == e.Digest }) {
			found = append(found, e)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(entries) == 0:
		return v1.Descriptor{}, fmt.Errorf("there is no image in it")
	case tag != "":
		return v1.Descriptor{}, fmt.Errorf("it has no image %q, but %s", tag, strings.Join(names, ", "))
	}
	return v1.Descriptor{}, fmt.Errorf("it has several images, %s: choose one, DIR:TAG", strings.Join(names, ", "))
}

// readEntry reads an image, or the images of an index.
func readEntry(dir string, d v1.Descriptor) ([]explain.Contents, error) {
	raw, err := readBlob(dir, d)
	if err != nil {
		return nil, err
	}
	if d.MediaType.IsIndex() {
		index, err := v1.ParseIndexManifest(bytes.NewReader(raw))
		if err != nil {
			return nil, fmt.Errorf("index %s: %w", d.Digest, err)
		}
		return explain.EachImage(index, func(child v1.Descriptor) ([]explain.Contents, error) { return readEntry(dir, child) })
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	if raw, err = readBlob(dir, manifest.Config); err != nil {
		return nil, err
	}
	config, err := v1.ParseConfigFile(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", manifest.Config.Digest, err)
	}
	contents, err := explain.ImageContents(manifest, config)
	return []explain.Contents{contents}, err
}

// readBlob reads what a descriptor stands for, and checks it.
func readBlob(dir string, d v1.Descriptor) ([]byte, error) {
	raw, err := plainfile.ReadFile(filepath.Join(dir, "blobs", d.Digest.Algorithm, d.Digest.Hex), maxManifest)
	if err != nil {
		return nil, err
	}
	if got, _, err := v1.SHA256(bytes.NewReader(raw)); err != nil || got != d.Digest {
		return nil, fmt.Errorf("blob %s has the digest %s", d.Digest, got)
	}
	return raw, nil
}
