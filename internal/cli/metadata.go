package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/nixery-action/internal/build"
	"github.com/org/nixery-action/internal/report"
	"github.com/org/nixery-action/internal/scratch"
	"github.com/org/nixery-action/internal/spec"
)

// metadata is what buildx says of an image, in its own words
// (https://docs.docker.com/reference/cli/docker/buildx/build/#metadata-file).
type metadata struct {
	ConfigDigest string     `json:"containerimage.config.digest,omitempty"` // of an image of one platform
	Descriptor   descriptor `json:"containerimage.descriptor"`
	Digest       v1.Hash    `json:"containerimage.digest"`
	Names        string     `json:"image.name,omitempty"` // references, and repositories that have it without a tag, with commas
}

type descriptor struct {
	MediaType types.MediaType `json:"mediaType"`
	Digest    v1.Hash         `json:"digest"`
	Size      int64           `json:"size"`
}

// metadataOf is that of the image, or of each by its name.
func metadataOf(r *build.Report) any {
	return ofImages(r, func(img report.Image) metadata {
		m := metadata{
			Descriptor: descriptor{img.MediaType, img.Digest, img.ManifestSize},
			Digest:     img.Digest,
			Names:      strings.Join(slices.Concat(img.Tags, img.Untagged()), ","),
		}
		if len(img.Platforms) == 1 {
			m.ConfigDigest = img.Platforms[0].Config.String()
		}
		return m
	})
}

// reportKey is where a metadata file has our report, beside buildx's keys.
const reportKey = "nixery"

// checkMetadataFile tells before anything is built whether the file can be
// written, and leaves it as it is. Its directory is made, as those of outputs are.
func (o buildOptions) checkMetadataFile(images []spec.Image) error {
	if o.MetadataFile == "" {
		return nil
	}
	if len(images) > 1 && slices.ContainsFunc(images, func(img spec.Image) bool { return img.Name == reportKey }) {
		return o.blame("metadata-file", fmt.Errorf("the file has the report where the image %q would be: call the image otherwise", reportKey))
	}
	if err := checkWritable(o.MetadataFile); err != nil {
		return o.blame("metadata-file", fmt.Errorf("metadata file %s cannot be written: %w", o.MetadataFile, err))
	}
	return nil
}

func checkWritable(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return scratch.Check(file)
}

// keepMetadata writes the metadata file, if one is asked for.
func (o buildOptions) keepMetadata(r *build.Report) error {
	if o.MetadataFile == "" {
		return nil
	}
	return writeMetadata(o.MetadataFile, r)
}

// writeMetadata replaces a file by buildx's keys and our report.
func writeMetadata(file string, r *build.Report) error {
	data, err := json.Marshal(metadataOf(r))
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	all := map[string]any{}
	if err := json.Unmarshal(data, &all); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	all[reportKey] = r
	return writeJSON(file, all)
}
