package main

import (
	"fmt"
	"io"
	"path"
	"strings"
	"text/tabwriter"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/org/nixery-action/internal/progress"
)

// show pulls an index, checks every digest in it, prints what it holds, and
// unpacks one platform's image into a directory.
func show(w io.Writer, reference, platform, directory string) error {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return err
	}
	index, err := remote.Index(ref)
	if err != nil {
		return err
	}
	if err := validate.Index(index); err != nil {
		return err
	}
	img, err := printIndex(w, index, platform)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "layers of %s, lowest first:\n", platform)
	if err := printLayers(w, img); err != nil {
		return err
	}
	return unpack(img, directory)
}

// printIndex prints an index and its images, and returns the one for platform.
func printIndex(w io.Writer, index v1.ImageIndex, platform string) (v1.Image, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	digest, err := index.Digest()
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(w, "%s %s\n", digest, manifest.MediaType)
	var chosen v1.Image
	for _, child := range manifest.Manifests {
		fmt.Fprintf(w, "  %-14s  %s\n", child.Platform, child.Digest)
		if strings.HasPrefix(child.Platform.String(), platform) {
			if chosen, err = index.Image(child.Digest); err != nil {
				return nil, err
			}
		}
	}
	if chosen == nil {
		return nil, fmt.Errorf("%s has no image for %s", digest, platform)
	}
	return chosen, nil
}

// printLayers prints a line a layer; the config's history tells what is in it.
func printLayers(w io.Writer, img v1.Image) error {
	manifest, err := img.Manifest()
	if err != nil {
		return err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for i, layer := range manifest.Layers {
		fmt.Fprintf(table, "%s\t%.19s\t  %s\n", progress.Size(layer.Size), layer.Digest, holds(config.History[i].Comment))
	}
	return table.Flush()
}

// holds is the store paths of a history's comment without their directory and
// size, or its title.
func holds(comment string) string {
	var names []string
	for line := range strings.SplitSeq(comment, "\n") {
		if !strings.HasPrefix(line, "/") {
			return line
		}
		file, _, _ := strings.Cut(line, " ")
		names = append(names, path.Base(file))
	}
	return strings.Join(names, " ")
}
