package cli

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/org/nixery-action/internal/build"
	"github.com/org/nixery-action/internal/logline"
	"github.com/org/nixery-action/internal/spec"
)

// clash is an input that says something else than the spec, and goes before it.
type clash struct {
	input string
	given string
	said  string // by the spec
	image string // of several; "" otherwise
}

// tellClashes reports each once, so that the cause is not looked for in the spec.
func (o buildOptions) tellClashes(ctx context.Context, c *console, w wanted, orders []build.Target) {
	for _, clash := range o.clashes(w, orders) {
		where := c.relative(w.File)
		if clash.image != "" {
			where += fmt.Sprintf(" for image %q", clash.image)
		}
		c.log.Log(ctx, logline.Notice, fmt.Sprintf("%s goes before the spec: %s, where %s says %s", o.called(clash.input), clash.given, where, clash.said))
	}
}

func (o buildOptions) clashes(w wanted, orders []build.Target) []clash {
	var all []clash
	if o.Nixpkgs != "" && w.source.Pos != (spec.Position{}) && !sameSource(w.source, w.Nixpkgs) {
		all = append(all, clash{input: "nixpkgs", given: sourceName(w.Nixpkgs), said: sourceName(w.source)})
	}
	if w.bare() {
		return all
	}
	for i, order := range orders {
		for _, found := range o.clashesOf(w.said[i], order) {
			if len(orders) > 1 {
				found.image = order.Name
			}
			all = append(all, found)
		}
	}
	return all
}

// clashesOf are those of one image.
func (o buildOptions) clashesOf(said spec.Image, order build.Target) []clash {
	var all []clash
	compare := func(input string, given, said []string) {
		given, said = slices.Sorted(slices.Values(given)), slices.Sorted(slices.Values(said))
		if !slices.Equal(given, said) {
			all = append(all, clash{input: input, given: strings.Join(given, ", "), said: strings.Join(said, ", ")})
		}
	}
	if len(o.Packages) > 0 {
		compare("packages", order.Packages, said.Packages)
	}
	if len(o.Platforms) > 0 && len(said.ArchitecturePos) > 0 {
		compare("platforms", order.Architectures, said.Architectures)
	}
	if len(o.Tags) > 0 && said.Repository != "" {
		compare("tags", fullNames(o.Tags), fullNames(ownTags(said)))
	}
	for _, key := range slices.Sorted(maps.Keys(said.Config.Labels)) {
		if value, old := order.Config.Labels[key], said.Config.Labels[key]; value != old {
			all = append(all, clash{input: "labels", given: key + "=" + value, said: key + "=" + old})
		}
	}
	return all
}

func sameSource(a, b spec.Nixpkgs) bool {
	a.Pos, b.Pos = spec.Position{}, spec.Position{}
	return reflect.DeepEqual(a, b)
}

func sourceName(n spec.Nixpkgs) string {
	if n.Path != "" {
		return "path " + n.Path
	}
	return build.Describe(n)
}

// fullNames writes out what references leave to be understood.
func fullNames(references []string) []string {
	var full []string
	for _, reference := range references {
		if tag, err := name.NewTag(reference); err == nil {
			full = append(full, tag.Name())
		}
	}
	return full
}
