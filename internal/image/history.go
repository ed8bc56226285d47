package image

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/org/nixery-action/internal/nix"
)

// Package is a package of an image, under the name that it was asked for by,
// and the store path that the root layer links to.
type Package struct {
	Name string        `json:"name"` // as in a spec, without white space
	Path nix.StorePath `json:"path"`
}

// rootTitle is the first line of a root layer's comment.
const rootTitle = "root layer: links to packages"

// What a layer holds is the comment of its history entry, so that a published
// image can be compared with another without its layers:
//
//	PATH SIZE            a store path and the bytes of its NAR, decimal; a line each, in a layer of the store
//	package NAME PATH    a package and where it is; a line each, after the title, in the root layer
var (
	pathLine    = regexp.MustCompile(`^(` + regexp.QuoteMeta(nix.StoreDir) + `/\S+) ([0-9]{1,18})$`)
	packageLine = regexp.MustCompile(`^package (\S+) (` + regexp.QuoteMeta(nix.StoreDir) + `/\S+)$`)
)

// comment is the history of a layer; one without store paths is the root layer.
func comment(held []nix.PathInfo, packages []Package) string {
	var lines []string
	for _, info := range held {
		lines = append(lines, fmt.Sprintf("%s %d", info.Path, info.NarSize))
	}
	if len(held) == 0 {
		lines = append(lines, rootTitle)
		for _, p := range packages {
			lines = append(lines, fmt.Sprintf("package %s %s", p.Name, p.Path))
		}
	}
	return strings.Join(lines, "\n")
}

// ReadSizes are the NAR sizes that a history's comment gives for store paths.
// Lines of another form, such as those of other tools, are passed over.
func ReadSizes(comment string) map[nix.StorePath]int64 {
	sizes := map[nix.StorePath]int64{}
	for line := range strings.SplitSeq(comment, "\n") {
		m := pathLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		size, err := strconv.ParseInt(m[2], 10, 64)
		if path, bad := nix.ParseStorePath(m[1]); bad == nil && err == nil {
			sizes[path] = size
		}
	}
	return sizes
}

// ReadPackages are the packages that a root layer's comment names, in its
// order; ok tells whether it is one.
func ReadPackages(comment string) (packages []Package, ok bool) {
	title, rest, _ := strings.Cut(comment, "\n")
	if title != rootTitle {
		return nil, false
	}
	for line := range strings.SplitSeq(rest, "\n") {
		m := packageLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if path, err := nix.ParseStorePath(m[2]); err == nil {
			packages = append(packages, Package{Name: m[1], Path: path})
		}
	}
	return packages, true
}
