package explain

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/image"
	"github.com/org/nixery-action/internal/nix"
)

// Contents are the layers of one image, or of the plan of one, as far as they
// are known without their bytes.
type Contents struct {
	Platform   string // empty for a closure
	Compressed bool   // sizes of layers are those of blobs, not of NARs
	Layers     []Content
	Sizes      map[nix.StorePath]int64 // of store paths, NAR bytes, where they are known
	Packages   []image.Package         // sorted by name; none if they are not known
}

// Content is one layer. Equal IDs within one kind of contents are equal bytes.
type Content struct {
	ID    string
	Size  int64 // bytes
	Paths []nix.StorePath
}

// Contents returns the layers of the plan. The ID of a layer is its key, or its
// paths if the closure has no NAR hashes.
func (e Explanation) Contents() Contents {
	c := Contents{Platform: e.Platform, Sizes: map[nix.StorePath]int64{}}
	for _, layer := range e.Layers {
		id := string(layer.Key)
		if id == "" {
			id = fmt.Sprint(layer.Paths)
		}
		c.Layers = append(c.Layers, Content{ID: id, Size: layer.Size, Paths: layer.Paths})
		for _, info := range layer.group {
			c.Sizes[info.Path] = info.NarSize
		}
	}
	return c
}

// ImageContents returns the layers of a published image, from its manifest and
// configuration. What a layer holds is in the comment of its history entry; see
// [image.ReadSizes]. Store paths without sizes, as nixpkgs' dockerTools write
// them, are read too. Of other images only the layers are known.
func ImageContents(manifest *v1.Manifest, config *v1.ConfigFile) (Contents, error) {
	c := Contents{Platform: platformOf(config), Compressed: true, Sizes: map[nix.StorePath]int64{}}
	for _, layer := range manifest.Layers {
		c.Layers = append(c.Layers, Content{ID: layer.Digest.String(), Size: layer.Size})
	}
	var history []v1.History
	for _, h := range config.History {
		if !h.EmptyLayer {
			history = append(history, h)
		}
	}
	if len(history) == 0 {
		return c, nil
	}
	if len(history) != len(c.Layers) {
		return Contents{}, fmt.Errorf("the image has %d layers, but its history tells of %d", len(c.Layers), len(history))
	}
	for i, h := range history {
		if packages, ok := image.ReadPackages(h.Comment); ok {
			c.Packages = packages
			continue
		}
		c.Layers[i].Paths = storePathsIn(h.Comment)
		maps.Copy(c.Sizes, image.ReadSizes(h.Comment))
	}
	return c, nil
}

// maxImages is how many images of an index are read.
const maxImages = 64

// EachImage reads the images of an index with read, and returns the contents of
// all. It ignores docker's attestations, which are manifests for a platform called
// unknown.
func EachImage(index *v1.IndexManifest, read func(v1.Descriptor) ([]Contents, error)) ([]Contents, error) {
	var all []Contents
	for _, d := range index.Manifests {
		if !d.MediaType.IsImage() || d.Platform != nil && d.Platform.OS == "unknown" {
			continue
		}
		if len(all) >= maxImages {
			return nil, fmt.Errorf("the index has more than %d images", maxImages)
		}
		contents, err := read(d)
		if err != nil {
			return nil, err
		}
		all = append(all, contents...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the index has no images")
	}
	return all, nil
}

func platformOf(config *v1.ConfigFile) string {
	p := v1.Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant}
	return p.String()
}

var storePaths = regexp.MustCompile(regexp.QuoteMeta(nix.StoreDir) + `/[^\s'",\]]+`)

// storePathsIn returns the valid store paths in a text.
func storePathsIn(text string) []nix.StorePath {
	var paths []nix.StorePath
	for _, word := range storePaths.FindAllString(text, -1) {
		if path, err := nix.ParseStorePath(word); err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}

// paths are the store paths of all layers, sorted, each once.
func (c Contents) paths() []nix.StorePath {
	var all []nix.StorePath
	for _, layer := range c.Layers {
		all = append(all, layer.Paths...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// versionOf splits a store path's name as [popularity.Name] does:
//
//	openssl-3.0.13-dev ▶ "openssl", "3.0.13-dev"
func versionOf(path nix.StorePath, name string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path.Name(), name), "-")
}
