package main

import (
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/org/nixery-action/internal/image"
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

// newRequest finds all that is wrong with the options at once.
func newRequest(o buildOptions, images []spec.Image) (*request, error) {
	r := &request{push: o.Push}
	var errs []error
	note := func(err error) {
		if err != nil {
			errs = append(errs, usageError{err})
		}
	}
	names := o.Tags
	for _, text := range o.Outputs {
		output, err := publish.ParseOutput(text)
		note(err)
		r.outputs = append(r.outputs, output)
		names = append(slices.Clone(names), output.Names...)
	}
	architectures, err := architecturesOf(o.Platforms)
	note(err)
	labels, err := parseLabels(o.Labels)
	note(err)
	if len(names) > 0 && len(images) > 1 {
		note(usagef("%d images cannot all be tagged %s: choose one with --image", len(images), strings.Join(names, ", ")))
	}
	for _, img := range images {
		order, err := newOrder(img, names, architectures, labels)
		note(err)
		r.orders = append(r.orders, order)
	}
	note(r.checkPush())
	note(r.checkArchives())
	return r, errors.Join(errs...)
}

func architecturesOf(platforms []string) ([]string, error) {
	var all []string
	for _, p := range platforms {
		platform, err := image.ParsePlatform(strings.TrimSpace(p))
		if err != nil {
			return nil, err
		}
		all = append(all, platform.Architecture)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

func parseLabels(labels []string) (map[string]string, error) {
	all := map[string]string{}
	for _, label := range labels {
		key, value, ok := strings.Cut(label, "=")
		if !ok || key == "" {
			return nil, usagef("label %q: want KEY=VALUE", label)
		}
		all[key] = value
	}
	return all, nil
}

// newOrder lets the options replace what the image's spec says.
func newOrder(img spec.Image, names, architectures []string, labels map[string]string) (pipeline.Order, error) {
	if len(architectures) > 0 {
		img.Architectures = architectures
	}
	if len(labels) > 0 {
		merged := map[string]string{}
		for _, set := range []map[string]string{img.Config.Labels, labels} {
			for k, v := range set {
				merged[k] = v
			}
		}
		img.Config.Labels = merged
	}
	if len(names) == 0 && img.Repository != "" {
		for _, tag := range img.Tags {
			names = append(names, img.Repository+":"+tag)
		}
	}
	order := pipeline.Order{Image: img}
	for _, n := range names {
		tag, err := name.NewTag(n)
		if err != nil {
			return order, usagef("tag %q: want a reference such as ghcr.io/acme/toolbox:v1: %w", n, err)
		}
		order.Tags = append(order.Tags, tag)
	}
	return order, nil
}

// pushes tells whether anything goes to a registry.
func (r *request) pushes() bool {
	return r.push || slices.ContainsFunc(r.outputs, func(o publish.Output) bool { return o.Push })
}

func (r *request) checkPush() error {
	if !r.pushes() {
		return nil
	}
	byDigest := slices.ContainsFunc(r.outputs, func(o publish.Output) bool { return o.PushByDigest })
	for i := range r.orders {
		order := &r.orders[i]
		if len(order.Tags) == 0 {
			return imageError{order.Name, usagef("image %q has nowhere to be pushed to: give it a repository in the spec, or --tag", order.Name)}
		}
		if byDigest {
			for _, tag := range order.Tags {
				order.Repositories = append(order.Repositories, tag.Context())
			}
			order.Tags = nil
		}
	}
	return nil
}

// checkArchives: neither a docker archive nor a daemon has indexes, so several
// platforms cannot be in one. That is known before anything is built.
func (r *request) checkArchives() error {
	for _, output := range r.outputs {
		for _, order := range r.orders {
			if (output.Kind == publish.ToArchive || output.Kind == publish.ToDaemon) && len(order.Architectures) != 1 {
				return &publish.PlatformsError{Name: order.Name, Platforms: len(order.Architectures)}
			}
		}
	}
	return nil
}

func (r *request) images() []spec.Image {
	images := make([]spec.Image, len(r.orders))
	for i, order := range r.orders {
		images[i] = order.Image
	}
	return images
}

// destinations are files first: a registry is the place that others look at.
func (r *request) destinations(c *console, o buildOptions, meter *pipeline.Meter) ([]publish.Destination, error) {
	var dests []publish.Destination
	insecure := o.insecure
	for _, output := range r.outputs {
		switch output.Kind {
		case publish.ToLayout:
			dests = append(dests, publish.Layout{Path: output.Dest, Tar: output.Tar, Stdout: c.stdout, Sent: meter.Sent})
		case publish.ToArchive:
			dests = append(dests, publish.Archive{Path: output.Dest, Stdout: c.stdout, Sent: meter.Sent})
		case publish.ToDaemon:
			daemon, err := newDaemon(meter.Sent)
			if err != nil {
				return nil, err
			}
			dests = append(dests, daemon)
		case publish.ToRegistry:
			if output.Insecure {
				insecure = append(slices.Clone(insecure), r.registries()...)
			}
		}
	}
	if !r.pushes() {
		return dests, nil
	}
	return append(dests, publish.NewRegistry(publish.RegistryOptions{
		Keychain:  c.keychain(o.GitHubToken),
		Insecure:  insecure,
		UserAgent: userAgent(),
		Logger:    c.log,
		Report:    meter.Report,
		Moved:     meter.Moved,
		Sent:      meter.Sent,
	})), nil
}

func (r *request) registries() []string {
	var hosts []string
	for _, order := range r.orders {
		for _, tag := range order.Tags {
			hosts = append(hosts, tag.RegistryStr())
		}
		for _, repository := range order.Repositories {
			hosts = append(hosts, repository.RegistryStr())
		}
	}
	return hosts
}

// resultsTo is where results are printed: stdout, unless an image goes there.
func (r *request) resultsTo(c *console) io.Writer {
	for _, output := range r.outputs {
		if output.Dest == "-" {
			return c.display.Writer()
		}
	}
	return c.stdout
}
