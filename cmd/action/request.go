package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/org/nixery-action/internal/pipeline"
	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/spec"
)

// request is buildOptions, checked and applied to the images of a spec.
type request struct {
	orders  []pipeline.Order
	outputs []publish.Output
	push    bool
}

// newRequest finds all that is wrong with the options at once. Without images, since
// the spec is wrong, it judges the options by themselves.
func newRequest(o buildOptions, w wanted) (*request, error) {
	r := &request{push: o.Push}
	var errs []error
	note := func(input string, err error) { errs = append(errs, o.blame(input, err)) }
	names, err := parseTags(o.Tags)
	note("tags", err)
	more, err := r.addOutputs(o)
	note("outputs", err)
	names = append(names, more...)
	architectures, err := architecturesOf(o.Platforms)
	note("platforms", err)
	labels, err := parseLabels(o.Labels)
	note("labels", err)
	annotations, err := parseAnnotations(o.Annotations)
	note("annotations", err)
	note("tags", o.checkShared(names, w.images))
	for _, img := range w.images {
		order, err := newOrder(img, names, architectures, labels)
		errs = append(errs, err)
		order.Annotations = annotations
		r.orders = append(r.orders, order)
	}
	note("annotations", r.checkAnnotations(annotations))
	errs = append(errs, r.checkPush(o, w.bare()))
	errs = append(errs, r.checkSingle(o))
	return r, errors.Join(errs...)
}

// addOutputs returns the references that outputs name. To load is one of them.
func (r *request) addOutputs(o buildOptions) ([]name.Tag, error) {
	var names []name.Tag
	var errs []error
	for _, text := range o.Outputs {
		output, err := publish.ParseOutput(text)
		tags, errTags := parseTags(output.Names)
		errs = append(errs, err, errTags)
		if o.step && output.Dest == "-" {
			errs = append(errs, fmt.Errorf("output %q: standard output is the log of a step; name a file", text))
		}
		r.outputs = append(r.outputs, output)
		names = append(names, tags...)
	}
	toDaemon := func(output publish.Output) bool { return output.Kind == publish.ToDaemon }
	if o.Load && !slices.ContainsFunc(r.outputs, toDaemon) {
		r.outputs = append(r.outputs, publish.Output{Kind: publish.ToDaemon})
	}
	return names, errors.Join(errs...)
}

func (o buildOptions) checkShared(names []name.Tag, images []spec.Image) error {
	if len(names) == 0 || len(images) < 2 {
		return nil
	}
	var texts []string
	for _, n := range names {
		if n.String() != "" {
			texts = append(texts, n.String())
		}
	}
	return fmt.Errorf("%d images cannot all be tagged %s: choose one with %s", len(images), strings.Join(texts, ", "), o.called("images"))
}

// newOrder lets the options replace what the image's spec says.
func newOrder(img spec.Image, names []name.Tag, architectures []string, labels map[string]string) (pipeline.Order, error) {
	if len(architectures) > 0 {
		img.Architectures = architectures
	}
	if len(labels) > 0 {
		merged := map[string]string{}
		maps.Copy(merged, img.Config.Labels)
		maps.Copy(merged, labels)
		img.Config.Labels = merged
	}
	var err error
	if len(names) == 0 {
		names, err = parseTags(ownTags(img))
	}
	return pipeline.Order{Image: img, Tags: names}, err
}

// ownTags are the references that the spec says.
func ownTags(img spec.Image) []string {
	if img.Repository == "" {
		return nil
	}
	var tags []string
	for _, tag := range img.Tags {
		tags = append(tags, img.Repository+":"+tag)
	}
	return tags
}

// pushes tells whether anything goes to a registry.
func (r *request) pushes() bool {
	return r.push || slices.ContainsFunc(r.outputs, func(o publish.Output) bool { return o.Push })
}

// checkPush wants a place for each image that is pushed, and takes the tags away
// from one that is pushed by its digest.
func (r *request) checkPush(o buildOptions, bare bool) error {
	if !r.pushes() {
		return nil
	}
	byDigest := slices.ContainsFunc(r.outputs, func(o publish.Output) bool { return o.PushByDigest })
	var errs []error
	for i := range r.orders {
		order := &r.orders[i]
		if len(order.Tags) == 0 {
			errs = append(errs, o.homeless(order.Name, bare))
		}
		if byDigest {
			for _, tag := range order.Tags {
				order.Repositories = append(order.Repositories, tag.Context())
			}
			order.Tags = nil
		}
	}
	return errors.Join(errs...)
}

// homeless is an image that has nowhere to be pushed to.
func (o buildOptions) homeless(name string, bare bool) error {
	if bare {
		return o.blame("tags", fmt.Errorf("image %q has nowhere to be pushed to: name a reference", name))
	}
	return imageError{name, usagef("image %q has nowhere to be pushed to: give it a repository in the spec, or %s", name, o.called("tags"))}
}

// checkSingle: neither a docker archive nor a daemon has indexes, so several
// platforms cannot be in one. That is known before anything is built.
func (r *request) checkSingle(o buildOptions) error {
	single := func(output publish.Output) bool {
		return output.Kind == publish.ToArchive || output.Kind == publish.ToDaemon
	}
	input := "outputs"
	if o.Load {
		input = "load"
	}
	if !slices.ContainsFunc(r.outputs, single) {
		return nil
	}
	var errs []error
	for _, order := range r.orders {
		if n := len(order.Architectures); n != 1 {
			errs = append(errs, o.blame(input, &publish.PlatformsError{Name: order.Name, Platforms: n}))
		}
	}
	return errors.Join(errs...)
}
