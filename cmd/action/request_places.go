package main

import (
	"io"
	"slices"

	"github.com/org/nixery-action/internal/pipeline"
	"github.com/org/nixery-action/internal/publish"
)

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
