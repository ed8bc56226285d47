package cli

import (
	"errors"
	"maps"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/org/nixery-action/internal/build"
	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/spec"
)

// request is buildOptions, checked and applied to the images of a spec.
type request struct {
	orders       []build.Target
	publications []publication
	notices      []string // of what has no effect
}

// newRequest finds all that is wrong with the options at once. Without images, since
// the spec is wrong, it judges the options by themselves.
func newRequest(o buildOptions, w wanted) (*request, error) {
	r := &request{}
	var errs []error
	note := func(input string, err error) { errs = append(errs, o.blame(input, err)) }
	var err error
	r.publications, err = o.publications()
	note("outputs", err)
	tags, err := o.parseGeneral()
	note("tags", err)
	architectures, err := architecturesOf(o.Platforms)
	note("platforms", err)
	labels, err := parseLabels(o.Labels)
	note("labels", err)
	annotations, err := parseAnnotations(o.Annotations)
	note("annotations", err)
	for _, img := range w.images {
		order := newOrder(img, architectures, labels)
		order.Annotations = annotations
		r.orders = append(r.orders, order)
	}
	note("annotations", r.checkAnnotations(annotations))
	errs = append(errs, r.nameAll(o, w, tags), r.checkSingle(o))
	r.notices = r.withoutEffect(o, tags)
	return r, errors.Join(errs...)
}

// newOrder lets the options replace what the image's spec says.
func newOrder(img spec.Image, architectures []string, labels map[string]string) build.Target {
	if len(architectures) > 0 {
		img.Architectures = architectures
	}
	if len(labels) > 0 {
		merged := map[string]string{}
		maps.Copy(merged, img.Config.Labels)
		maps.Copy(merged, labels)
		img.Config.Labels = merged
	}
	return build.Target{Image: img}
}

// checkSingle: neither a docker archive nor a daemon has indexes, so several
// platforms cannot be in one. That is known before anything is built.
func (r *request) checkSingle(o buildOptions) error {
	input := ""
	for _, p := range r.publications {
		switch {
		case p.Kind == publish.ToDaemon && o.Load:
			input = "load"
		case p.Kind == publish.ToArchive || p.Kind == publish.ToDaemon:
			input = "outputs"
		}
	}
	if input == "" {
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

// parseGeneral reads the tags that are for every output without a name of its own.
func (o buildOptions) parseGeneral() ([]name.Tag, error) {
	if !o.step {
		for _, text := range o.Tags {
			if isBlank(text) {
				return nil, errors.New("no tag: --tag is empty; give it a reference such as ghcr.io/acme/toolbox:v1, or leave it out for the spec's")
			}
		}
	}
	return parseTags(o.Tags)
}
