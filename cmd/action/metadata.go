package main

import (
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/nixery-action/internal/pipeline"
)

// metadata is what buildx says of an image, in its own words
// (https://docs.docker.com/reference/cli/docker/buildx/build/#metadata-file).
type metadata struct {
	ConfigDigest string     `json:"containerimage.config.digest,omitempty"` // of an image of one platform
	Descriptor   descriptor `json:"containerimage.descriptor"`
	Digest       v1.Hash    `json:"containerimage.digest"`
	Names        string     `json:"image.name,omitempty"` // references, with commas
}

type descriptor struct {
	MediaType types.MediaType `json:"mediaType"`
	Digest    v1.Hash         `json:"digest"`
}

// metadataOf is that of the image, or of each by its name.
func metadataOf(r *pipeline.Report) any {
	return ofImages(r, func(img pipeline.ImageReport) metadata {
		m := metadata{
			Descriptor: descriptor{img.MediaType, img.Digest},
			Digest:     img.Digest,
			Names:      strings.Join(img.Tags, ","),
		}
		if len(img.Platforms) == 1 {
			m.ConfigDigest = img.Platforms[0].Config.String()
		}
		return m
	})
}
