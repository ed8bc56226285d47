package cli

import (
	"io"

	"github.com/org/nixery-action/internal/build"
	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/registry"
	"github.com/org/nixery-action/internal/report"
)

// destinations are files first: a registry is the place that others look at.
func (r *request) destinations(c *console, o buildOptions, meter *build.Stats) ([]build.Delivery, error) {
	var dests []build.Delivery
	for _, p := range r.publications {
		d := build.Delivery{Kind: report.Kind(p.Kind), Path: p.Dest, Names: p.names}
		switch p.Kind {
		case publish.ToLayout:
			d.Destination = publish.Layout{Path: p.Dest, Tar: p.Tar, Stdout: c.stdout, Sent: meter.AddBytes}
		case publish.ToArchive:
			d.Destination = publish.Archive{Path: p.Dest, Stdout: c.stdout, Sent: meter.AddBytes}
		case publish.ToDaemon:
			daemon, err := newDaemon(meter.AddBytes)
			if err != nil {
				return nil, err
			}
			d.Destination = daemon
		case publish.ToRegistry:
			continue // all of them together, last
		}
		dests = append(dests, d)
	}
	if !r.pushes() {
		return dests, nil
	}
	insecure, err := r.insecureHosts()
	if err != nil {
		return nil, err
	}
	registry := publish.NewRegistry(publish.RegistryOptions{
		Client: registry.New(registry.Options{
			Keychain:  c.keychain(o.GitHubToken),
			Insecure:  append(insecure, o.insecure...),
			UserAgent: userAgent(),
			Logger:    c.log,
		}),
		Report: meter.AddLayer,
		Stored: meter.AddImage,
		Tagged: meter.AddTag,
		Sent:   meter.AddBytes,
	})
	return append(dests, build.Delivery{Destination: registry, Kind: report.ToRegistry, Names: r.pushed(), Pull: registry.Pull}), nil
}

// resultsTo is where results are printed: stdout, unless an image goes there.
func (r *request) resultsTo(c *console) io.Writer {
	for _, p := range r.publications {
		if p.Dest == "-" {
			return c.display.Writer()
		}
	}
	return c.stdout
}
