package cli

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/org/nixery-action/internal/build"
	"github.com/org/nixery-action/internal/nix"
)

// annotationFor is what docker writes in front of an annotation's key: what it is
// for, and perhaps of which platform
// (https://docs.docker.com/build/metadata/annotations/#specify-annotation-level).
var annotationFor = regexp.MustCompile(`^(manifest|index)(?:\[([^]]+)\])?$`)

// parseAnnotations finds all that is wrong at once.
func parseAnnotations(texts []string) (build.Annotations, error) {
	all := build.Annotations{Index: map[string]string{}, Manifest: map[string]map[string]string{}}
	var errs []error
	for _, text := range texts {
		if err := parseAnnotation(text, all); err != nil {
			errs = append(errs, fmt.Errorf("annotation %q: %w", text, err))
		}
	}
	return all, errors.Join(errs...)
}

func parseAnnotation(text string, into build.Annotations) error {
	key, value, ok := strings.Cut(text, "=")
	levels, bare, prefixed := strings.Cut(key, ":")
	if !prefixed {
		levels, bare = "manifest", key
	}
	if !ok || bare == "" {
		return errors.New("want KEY=VALUE, or manifest:, index: or manifest[linux/amd64]: in front of it")
	}
	for _, level := range strings.Split(levels, ",") {
		match := annotationFor.FindStringSubmatch(level)
		switch {
		case match == nil:
			return fmt.Errorf("%q is nothing to annotate: want manifest, index or manifest[linux/amd64]", level)
		case match[1] == "index" && match[2] != "":
			return fmt.Errorf("%q: an index is not of one platform", level)
		case match[1] == "index":
			into.Index[bare] = value
		default:
			platform, err := annotated(match[2])
			if err != nil {
				return err
			}
			if into.Manifest[platform] == nil {
				into.Manifest[platform] = map[string]string{}
			}
			into.Manifest[platform][bare] = value
		}
	}
	return nil
}

// annotated is a platform's whole name; "" stands for all.
func annotated(platform string) (string, error) {
	if platform == "" {
		return "", nil
	}
	whole, err := nix.ParsePlatform(platform)
	return whole.String(), err
}

// checkAnnotations wants a place for each annotation, as far as images are known.
func (r *request) checkAnnotations(a build.Annotations) error {
	if len(r.orders) == 0 {
		return nil
	}
	var errs []error
	for _, order := range r.orders {
		errs = append(errs, order.CheckAnnotations())
	}
	for platform := range a.Manifest {
		made := func(o build.Target) bool { return slices.Contains(o.Architectures, architectureOf(platform)) }
		if platform != "" && !slices.ContainsFunc(r.orders, made) {
			errs = append(errs, fmt.Errorf("annotations for manifest[%s]: no image is made for it", platform))
		}
	}
	return errors.Join(errs...)
}

func architectureOf(platform string) string { return strings.Split(platform, "/")[1] }
