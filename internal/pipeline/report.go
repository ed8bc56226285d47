package pipeline

import (
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nixbuild"
)

// Report is what was made. Its JSON is that of --metadata-file.
type Report struct {
	Images []ImageReport `json:"images"` // in the order of the orders
	Source SourceReport  `json:"source"`
}

// SourceReport is where the packages are from. It holds no credentials.
type SourceReport struct {
	Source string `json:"source"`           // "channel nixos-25.11", "path", …
	Pinned string `json:"pinned,omitempty"` // what that stood for, "nixpkgs commit 1f…"; absent if nobody can tell
}

// ImageReport is one image of the spec: an index, or an image if there is one
// platform only.
type ImageReport struct {
	Name       string           `json:"name"`
	MediaType  types.MediaType  `json:"mediaType"`
	Digest     v1.Hash          `json:"digest"`
	Tags       []string         `json:"tags"`
	Platforms  []PlatformReport `json:"platforms"` // in the order of the spec
	Popularity TableReport      `json:"popularity"`
}

// TableReport is the popularity table that the layers were planned with: with
// another one, the digest may be another too.
type TableReport struct {
	Source string `json:"source"`           // "embedded", "none", a file, or a URL without its query
	SHA256 string `json:"sha256,omitempty"` // of the counts, as nixery-action writes them; absent for none
}

// PlatformReport is one platform's image.
type PlatformReport struct {
	Platform string        `json:"platform"`
	Digest   v1.Hash       `json:"digest"`
	Config   v1.Hash       `json:"config"`
	Size     int64         `json:"size"` // compressed bytes of all layers
	Layers   []LayerReport `json:"layers,omitempty"`
}

// LayerReport is one layer, lowest first; the last is the root layer, which
// holds no store path.
type LayerReport struct {
	Digest v1.Hash              `json:"digest"`
	DiffID v1.Hash              `json:"diffID"`
	Size   int64                `json:"size"` // of the blob, bytes
	Key    layers.Key           `json:"key"`
	Paths  []nixbuild.StorePath `json:"paths"`
}

func report(source SourceReport, orders []Order, all []built) (*Report, error) {
	r := &Report{Source: source}
	for i, b := range all {
		img, err := reportImage(orders[i], b)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", orders[i].Name, err)
		}
		r.Images = append(r.Images, img)
	}
	return r, nil
}

func reportImage(order Order, b built) (ImageReport, error) {
	r := ImageReport{Name: order.Name, Tags: []string{}, Popularity: TableReport{b.table.Source, b.table.SHA256}}
	for _, tag := range order.Tags {
		r.Tags = append(r.Tags, tag.Name())
	}
	var made interface {
		Digest() (v1.Hash, error)
		MediaType() (types.MediaType, error)
	} = b.image
	if b.index != nil {
		made = b.index
	}
	var err error
	if r.Digest, err = made.Digest(); err != nil {
		return r, err
	}
	if r.MediaType, err = made.MediaType(); err != nil {
		return r, err
	}
	for _, p := range b.platforms {
		platform, err := reportPlatform(p)
		if err != nil {
			return r, err
		}
		r.Platforms = append(r.Platforms, platform)
	}
	return r, nil
}

func reportPlatform(p builtPlatform) (PlatformReport, error) {
	r := PlatformReport{Platform: p.wish.Platform.String()}
	var err error
	if r.Digest, err = p.image.Digest(); err != nil {
		return r, err
	}
	if r.Config, err = p.image.ConfigName(); err != nil {
		return r, err
	}
	for _, layer := range p.layers {
		record, err := layer.Record()
		if err != nil {
			return r, err
		}
		paths := layer.Paths()
		if paths == nil {
			paths = []nixbuild.StorePath{}
		}
		r.Size += record.Size
		r.Layers = append(r.Layers, LayerReport{
			Digest: record.Digest, DiffID: record.DiffID, Size: record.Size, Key: layer.Key(), Paths: paths,
		})
	}
	return r, nil
}

// WithoutLayers is a copy that says nothing of layers: they are most of a report.
func (r *Report) WithoutLayers() *Report {
	short := &Report{Source: r.Source}
	for _, img := range r.Images {
		img.Platforms = slices.Clone(img.Platforms)
		for i := range img.Platforms {
			img.Platforms[i].Layers = nil
		}
		short.Images = append(short.Images, img)
	}
	return short
}
