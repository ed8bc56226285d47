package spec

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"gopkg.in/yaml.v3"

	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/suggest"
)

// MaxBudget is the highest budget of an image's layers. Docker refuses to pull
// or load an image of more than 125 layers ("max depth exceeded", maxLayerDepth
// in moby's layer/layer_store.go), and one is the root layer.
const MaxBudget = 124

// WhyMaxBudget is the reason, for the error of a higher one.
const WhyMaxBudget = "Docker pulls and loads images of at most 125 layers, and one of them holds the links to the packages"

const (
	defaultBudget    = 94
	defaultGzipLevel = 6
	maxGzipLevel     = 9
	defaultZstdLevel = 3
	maxZstdLevel     = 19
)

var defaultLayers = Layers{Budget: defaultBudget, Compression: "gzip", Level: defaultGzipLevel, Popularity: "embedded"}

// DefaultLayers is what an image has whose spec does not say.
func DefaultLayers() Layers { return defaultLayers }

func (d *decoder) imageFields(img *Image) fields {
	return fields{
		"repository": func(n *yaml.Node) {
			img.Repository, _ = d.word(n, "repository", repository)
			img.RepositoryPos = Position{n.Line, n.Column}
		},
		"tags":          func(n *yaml.Node) { img.Tags, _ = d.set(n, "tags", d.tag) },
		"packages":      func(n *yaml.Node) { img.Packages, img.PackagePos = d.set(n, "packages", d.packageName) },
		"architectures": func(n *yaml.Node) { img.Architectures, img.ArchitecturePos = d.set(n, "architectures", d.architecture) },
		"config":        func(n *yaml.Node) { img.Config = d.config(n) },
		"layers": func(n *yaml.Node) {
			img.Layers = d.layers(n)
			if at := child(n, "popularity"); at != n {
				img.PopularityPos = Position{at.Line, at.Column}
			}
		},
		"format": func(n *yaml.Node) { img.Format = d.format(n) },
	}
}

// complete puts defaults where nothing is given, and checks what two keys must
// agree on.
func (d *decoder) complete(at *yaml.Node, what string, img *Image, given map[string]entry) {
	if _, ok := given["packages"]; !ok {
		d.errorf(at, "%s has no packages; name at least one, as in packages: [git, curl]", what)
	}
	if _, ok := given["tags"]; !ok {
		img.Tags = []string{"latest"}
	}
	if _, ok := given["architectures"]; !ok {
		img.Architectures = nix.Architectures()[:1]
	}
	if _, ok := given["format"]; !ok {
		img.Format = Docker
	}
	if _, ok := given["layers"]; !ok {
		img.Layers = defaultLayers
	}
	if img.Layers.Compression == "zstd" && img.Format == Docker {
		at := child(given["layers"].value, "compression")
		d.errorf(at, "compression: Docker's manifests have no media type for zstd; write format: oci in %s, or use gzip", what)
	}
}

func (d *decoder) tag(n *yaml.Node) (string, bool) {
	written, ok := d.text(n, "tags")
	if !ok {
		return "", false
	}
	expanded, ok := d.expand(n, "tags", written)
	what := "tag"
	if expanded != written {
		what = "tag " + quote(written) + ", here"
	}
	return expanded, ok && d.passes(n, what, expanded, tagName)
}

func (d *decoder) packageName(n *yaml.Node) (string, bool) {
	return d.word(n, "package", packageName)
}

func (d *decoder) architecture(n *yaml.Node) (string, bool) {
	return d.word(n, "architecture", architecture)
}

func (d *decoder) format(n *yaml.Node) Format {
	s, _ := d.word(n, "format", oneOf(string(Docker), string(OCI)))
	return Format(s)
}

func (d *decoder) layers(n *yaml.Node) Layers {
	l := defaultLayers
	given := d.mapping(n, "layers", d.layersFields(&l))
	highest := maxGzipLevel
	if l.Compression == "zstd" {
		highest, l.Level = maxZstdLevel, defaultZstdLevel
	}
	if e, ok := given["level"]; ok && e.key.Value == "level" && l.Compression != "" {
		l.Level = d.number(e.value, l.Compression+"'s level", 1, highest)
	}
	if e, ok := given["sha256"]; ok && slices.Contains(tables, l.Popularity) {
		d.errorf(e.key, "sha256: it is that of a popularity table, and there is none to fetch; give popularity a file or a URL")
	}
	return l
}

func (d *decoder) layersFields(l *Layers) fields {
	return fields{
		"budget":      func(n *yaml.Node) { l.Budget = d.budget(n) },
		"compression": func(n *yaml.Node) { l.Compression, _ = d.word(n, "compression", oneOf("gzip", "zstd")) },
		"level":       func(*yaml.Node) {}, // its range is the compression's, which may come later
		"popularity":  func(n *yaml.Node) { l.Popularity = d.popularity(n) },
		"sha256":      func(n *yaml.Node) { l.PopularitySHA256, _ = d.word(n, "sha256", sha256Hex) },
	}
}

func (d *decoder) budget(n *yaml.Node) int {
	why := ""
	if high, err := strconv.Atoi(n.Value); err == nil && high > MaxBudget {
		why = "; " + WhyMaxBudget
	}
	return d.numberOr(n, "budget", 1, MaxBudget, why)
}

var (
	imageNames   = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)
	packageNames = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_'+-]*([.][A-Za-z0-9_][A-Za-z0-9_'+-]*)*$`)
	// The two that follow are <reference> and <name> of the OCI distribution
	// specification 1.1, "Pulling manifests"; go-containerregistry lets more pass.
	tagNames        = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	repositoryNames = regexp.MustCompile(`^[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*)*$`)
)

const maxPackageName = 128

func imageName(s string) error {
	if !imageNames.MatchString(s) {
		return errors.New("want lower-case letters, digits, dots, hyphens and underscores, with a letter or digit first")
	}
	return nil
}

func packageName(s string) error {
	switch {
	case len(s) > maxPackageName:
		return fmt.Errorf("want at most %d characters", maxPackageName)
	case !packageNames.MatchString(s):
		return errors.New("want a name in the package set, such as git or python3Packages.requests")
	}
	return nil
}

func tagName(s string) error {
	if !tagNames.MatchString(s) {
		return errors.New("want at most 128 letters, digits, dots, hyphens and underscores, with neither dot nor hyphen first")
	}
	return nil
}

func repository(s string) error {
	last := s[strings.LastIndexByte(s, '/')+1:]
	switch {
	case strings.Contains(s, "${"):
		return errors.New("variables expand in tags and labels only")
	case strings.Contains(s, "://"):
		return errors.New("leave out what stands before the host, as in ghcr.io/acme/toolbox")
	case strings.Contains(s, "@"):
		return errors.New("want a repository, without a digest")
	case strings.Contains(last, ":") && strings.Contains(s, "/"):
		return errors.New("want a repository, without a tag; write it under the key tags")
	case strings.ToLower(s) != s:
		return fmt.Errorf("registries want lower case: %s", clip(strings.ToLower(s)))
	}
	r, err := name.NewRepository(s)
	if err != nil || !repositoryNames.MatchString(r.RepositoryStr()) {
		return errors.New("want a registry and a name, such as ghcr.io/acme/toolbox")
	}
	return nil
}

// unsupported are architectures that are spelled like ours and are not. Nothing is
// proposed in their place.
var unsupported = map[string]bool{
	"arm": true, "armhf": true, "armv5": true, "armv6": true, "armv6l": true, "armv7": true, "armv7l": true, "armv7a": true, "arm/v6": true, "arm/v7": true,
	"linux/arm": true, "linux/arm/v6": true, "linux/arm/v7": true, "386": true, "i386": true, "i686": true, "linux/386": true, "x86": true, "arm32": true, "arm32v7": true,
}

func architecture(s string) error {
	if known, ok := nix.Spelled(s); ok {
		return fmt.Errorf("it is called %s here", known)
	}
	if unsupported[strings.ToLower(s)] {
		return fmt.Errorf("images can be built for %s only", strings.Join(nix.Architectures(), " and "))
	}
	return oneOf(nix.Architectures()...)(s)
}

// oneOf accepts the words given, and no others.
func oneOf(words ...string) check {
	return func(s string) error {
		if slices.Contains(words, s) {
			return nil
		}
		if near := suggest.Nearest(s, words, 1); len(near) > 0 {
			return fmt.Errorf("did you mean %s?", quote(near[0]))
		}
		return fmt.Errorf("want %s", strings.Join(words, " or "))
	}
}
