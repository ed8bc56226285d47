package spec

import (
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// What is asked for without a file, on a command line or in a workflow, is read
// by the rules of the keys that would say it. Its errors have neither file nor
// place: whoever asked knows what they called it.

// ParsePackages reads names of packages as the key packages does, and returns each
// once. The error is an [Errors].
func ParsePackages(names []string) ([]string, error) {
	d := &decoder{}
	var packages []string
	for _, name := range names {
		if word, ok := d.packageName(scalar(name)); ok && !slices.Contains(packages, word) {
			packages = append(packages, word)
		}
	}
	return packages, d.placeless()
}

// ParseSource reads one word for a package set: a path, from directory, if it begins
// with a dot or a slash; else a channel or a commit; else a flake reference. The
// error is an [Errors].
func ParseSource(word, directory string) (Nixpkgs, error) {
	d := &decoder{file: filepath.Join(directory, "spec")}
	key := "flake"
	switch {
	case strings.HasPrefix(word, ".") || strings.HasPrefix(word, "/"):
		key = "path"
	case channels.MatchString(word):
		key = "channel"
	}
	source := d.nixpkgs(&yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{scalar(key), scalar(word)}})
	return source, d.placeless()
}

// Instead is another source under the same configuration. A flake brings its own,
// so for one there must be none; else the error is an [Errors].
func (n Nixpkgs) Instead(source Nixpkgs) (Nixpkgs, error) {
	d := &decoder{}
	source.Config, source.Overlays = n.Config, n.Overlays
	source.IncludeIgnored = n.IncludeIgnored && (source.Path != "" || n.Overlays != nil)
	if source.Flake != "" && (n.Config != nil || n.Overlays != nil) {
		d.errorf(&yaml.Node{}, "flake %s: a flake's packages are made already, so the spec's config and overlays would do nothing; put them into the flake",
			quote(source.Flake))
	}
	return source, d.placeless()
}

// Bare is the spec of one image that says nothing but packages. The image is named
// after the repository that it will go to, which may be "".
func Bare(packages []string, repository string) *Spec {
	d := &decoder{}
	img := Image{Name: nameOf(repository), Packages: packages}
	d.complete(&yaml.Node{}, "the spec", &img, map[string]entry{"packages": {}})
	return &Spec{Version: 1, Nixpkgs: Nixpkgs{Channel: defaultChannel}, Images: []Image{img}}
}

func scalar(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
}

// placeless is what is wrong, without the file that there is not.
func (d *decoder) placeless() error {
	if len(d.errs) == 0 {
		return nil
	}
	errs := make(Errors, len(d.errs))
	for i, e := range d.errs {
		errs[i] = Error{Message: e.Message}
	}
	return errs
}
