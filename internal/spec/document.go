package spec

import (
	"maps"
	"path"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	"gopkg.in/yaml.v3"
)

// document reads a whole file into s. The keys of an image may stand at its top
// level, beside those of the file, unless there is a key images.
func (d *decoder) document(n *yaml.Node, s *Spec) {
	s.Nixpkgs.Channel = defaultChannel
	single := Image{Pos: Position{n.Line, n.Column}}
	ofImage := d.imageFields(&single)
	known := fields{
		"version": func(n *yaml.Node) { s.Version = d.number(n, "version", 1, 1) },
		"nixpkgs": func(n *yaml.Node) { s.Nixpkgs = d.nixpkgs(n) },
		"images":  func(n *yaml.Node) { s.Images = d.images(n) },
	}
	maps.Copy(known, ofImage)
	before := len(d.errs)
	given := d.mapping(n, "the spec", known)
	if images, ok := given["images"]; ok {
		d.misplaced(given, ofImage, images)
		d.clashes(s.Images)
		return
	}
	if len(given) == 0 && len(d.errs) > before {
		return // not a mapping at all, which says enough
	}
	d.complete(n, "the spec", &single, given)
	single.Name = nameOf(single.Repository)
	s.Images = []Image{single}
}

// misplaced reports an image's keys at the top level, next to images.
func (d *decoder) misplaced(given map[string]entry, ofImage fields, images entry) {
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if _, ok := ofImage[key]; ok {
			d.errorf(given[key].key, "%s is a key of one image, and line %d begins several; move it into an image", key, images.key.Line)
		}
	}
}

// images reads the images, by name, in the file's order.
func (d *decoder) images(n *yaml.Node) []Image {
	entries := d.entries(n, "images")
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		d.errorf(n, "images: there is none; add one, or leave the key out and give one image's keys at the top level")
	}
	var images []Image
	for _, e := range entries {
		what := "the image " + quote(e.key.Value)
		d.passes(e.key, "image", e.key.Value, imageName)
		img := Image{Name: e.key.Value, Pos: Position{e.key.Line, e.key.Column}}
		given := d.mapping(e.value, what, d.imageFields(&img))
		if e.value.Kind == yaml.MappingNode {
			d.complete(e.key, what, &img, given)
		}
		images = append(images, img)
	}
	return images
}

// nameOf is the name of a file's only image.
func nameOf(repository string) string {
	if base := path.Base(repository); imageName(base) == nil {
		return base
	}
	return "image"
}

// clashes reports images that would be published under one reference: which
// of them it named in the end would be a matter of luck.
func (d *decoder) clashes(images []Image) {
	owners := map[string]string{}
	for _, img := range images {
		repository, err := name.NewRepository(img.Repository)
		if err != nil {
			continue // reported already, or there is none
		}
		for _, tag := range img.Tags {
			ref := repository.Tag(tag).Name()
			if owner, taken := owners[ref]; taken {
				at := &yaml.Node{Line: img.Pos.Line, Column: img.Pos.Column}
				d.errorf(at, "the image %s is published as %s, and so is %s; give it a repository or tags of its own", quote(img.Name), ref, quote(owner))
				continue
			}
			owners[ref] = img.Name
		}
	}
}
