package build

import (
	"fmt"
	"io/fs"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/image"
	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/popularity"
	"github.com/org/nixery-action/internal/spec"
)

// built is the result for one target: an image, or an index over several.
type built struct {
	image     v1.Image
	index     v1.ImageIndex
	platforms []builtPlatform
	table     popularity.Table // that the layers were planned with
}

type builtPlatform struct {
	target TargetPlatform
	image  v1.Image
	layers []*layers.Layer
}

// assemble plans the layers of each closure, and puts them and the configuration
// into images, and these into indexes. It reads no store: layers are lazy.
func (b *Builder) assemble(packers *packers, targets []Target, platforms []TargetPlatform, tables []popularity.Table) ([]built, error) {
	all := make([]built, len(targets))
	for i, target := range targets {
		all[i].table = tables[i]
		images := map[string]v1.Image{}
		for _, w := range platforms {
			if w.Image != target.Name {
				continue
			}
			built, err := b.assemblePlatform(packers, target, w, tables[i].Counts)
			if err != nil {
				return nil, fmt.Errorf("image %s for %s: %w", w.Image, w.Platform, err)
			}
			images[w.Platform.String()] = built.image
			all[i].platforms = append(all[i].platforms, built)
		}
		if len(images) == 1 {
			all[i].image = all[i].platforms[0].image
			continue
		}
		index, err := image.Index(images, image.Format(target.Format), target.Annotations.Index)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", target.Name, err)
		}
		all[i].index = index
	}
	return all, nil
}

// assemblePlatform plans and assembles the image of one platform. The root layer
// is the last.
func (b *Builder) assemblePlatform(packers *packers, target Target, w TargetPlatform, counts popularity.Counts) (builtPlatform, error) {
	packer, err := packers.of(target.Image)
	if err != nil {
		return builtPlatform{}, err
	}
	var all []*layers.Layer
	for _, group := range layers.Plan(w.Closure, layers.Options{Budget: target.Layers.Budget, Counts: counts}) {
		all = append(all, packer.layer(group))
	}
	all = append(all, packer.root(w))
	img, err := image.Assemble(all, image.Options{
		Platform:    w.Platform,
		Config:      configOf(target.Config, w),
		Created:     b.Created,
		Format:      image.Format(target.Format),
		Packages:    packagesOf(w),
		Annotations: target.Annotations.of(w.Platform),
	})
	return builtPlatform{target: w, image: img, layers: all}, err
}

// packagesOf returns the packages for the history of an image.
func packagesOf(w TargetPlatform) []image.Package {
	packages := make([]image.Package, len(w.Packages))
	for i, p := range w.Packages {
		packages[i] = image.Package{Name: p.Name, Path: p.Out}
	}
	return packages
}

// unread reports whether some layer has no record yet, so that its bytes must be
// read from the store.
func unread(all []built) bool {
	for _, layer := range distinctLayers(all) {
		if _, err := layer.Record(); err != nil {
			return true
		}
	}
	return false
}

// packers keeps one packer for each compression and format, so that equal layers
// of several images are one value, packed once.
type packers struct {
	store fs.FS
	known cached
	noted func(in nix.StorePath, name string) // of files that may hold credentials
	made  map[packing]*packer
}

type packing struct {
	compression layers.Compression
	oci         bool
}

type packer struct {
	*layers.Packer
	compression layers.Compression
	known       cached
	layers      map[layers.Key]*layers.Layer
}

func newPackers(store fs.FS, known cached, noted func(nix.StorePath, string)) *packers {
	return &packers{store: store, known: known, noted: noted, made: map[packing]*packer{}}
}

func (p *packers) of(img spec.Image) (*packer, error) {
	how := packing{
		compression: layers.Compression{Algorithm: layers.Algorithm(img.Layers.Compression), Level: img.Layers.Level},
		oci:         img.Format == spec.OCI,
	}
	if made, ok := p.made[how]; ok {
		return made, nil
	}
	made, err := layers.NewPacker(p.store, how.compression, how.oci)
	if err != nil {
		return nil, err
	}
	made.Blobs, made.Credential = p.known.blobs(), p.noted
	p.made[how] = &packer{Packer: made, compression: how.compression, known: p.known, layers: map[layers.Key]*layers.Layer{}}
	return p.made[how], nil
}

func (p *packer) layer(g layers.Group) *layers.Layer {
	return p.once(layers.KeyOf(g, p.compression), func(r *layers.Record) *layers.Layer { return p.Layer(g, r) })
}

func (p *packer) root(w TargetPlatform) *layers.Layer {
	key := layers.RootKeyOf(w.Roots(), w.Closure, p.compression)
	return p.once(key, func(r *layers.Record) *layers.Layer { return p.Root(w.Roots(), w.Closure, r) })
}

// once returns the layer of a key. The first call makes it, with its record if
// that is cached.
func (p *packer) once(key layers.Key, make func(*layers.Record) *layers.Layer) *layers.Layer {
	if p.layers[key] == nil {
		p.layers[key] = make(p.known.record(key))
	}
	return p.layers[key]
}

// distinctLayers lists the layers of all images, each once, lowest first.
func distinctLayers(all []built) []*layers.Layer {
	seen := map[*layers.Layer]bool{}
	var distinct []*layers.Layer
	for _, b := range all {
		for _, p := range b.platforms {
			for _, layer := range p.layers {
				if !seen[layer] {
					seen[layer] = true
					distinct = append(distinct, layer)
				}
			}
		}
	}
	return distinct
}
