package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/org/nixery-action/internal/build"
	"github.com/org/nixery-action/internal/publish"
)

// publication is one line of outputs, or what push or load is short for. Its names, and whether and how it is pushed, are
// its own: no other line changes them.
type publication struct {
	publish.Output
	text  string        // the line; empty for push and load
	names []build.Names // of each order's image
}

// publications are the lines of outputs and, as in buildx, what push and load add to them: push is for every image line,
// or a line of its own if there is none; load is a line of its own unless there is one.
func (o buildOptions) publications() ([]publication, error) {
	var all []publication
	var errs []error
	for _, text := range o.Outputs {
		output, err := publish.ParseOutput(text)
		if o.step && output.Dest == "-" {
			err = fmt.Errorf("output %q: standard output is the log of a step; name a file", text)
		}
		if o.Push && output.NoPush {
			err = fmt.Errorf("output %q: it says push=false, and %s says to push; leave one of them out", text, o.called("push"))
		}
		output.Push = output.Push || o.Push && output.Kind == publish.ToRegistry
		errs = append(errs, err)
		all = append(all, publication{Output: output, text: text})
	}
	has := func(kind publish.OutputKind) bool {
		return slices.ContainsFunc(all, func(p publication) bool { return p.Kind == kind })
	}
	if o.Load && !has(publish.ToDaemon) {
		all = append(all, publication{Output: publish.Output{Kind: publish.ToDaemon}})
	}
	if o.Push && !has(publish.ToRegistry) {
		all = append(all, publication{Output: publish.Output{Kind: publish.ToRegistry, Push: true}})
	}
	return all, errors.Join(errs...)
}

// pushes tells whether anything goes to a registry.
func (r *request) pushes() bool {
	return slices.ContainsFunc(r.publications, func(p publication) bool { return p.Push })
}

// pushed is all that goes to registries, of each order's image: the lines that push, taken together, so that no tag of
// one is set before all that another pushes is there.
func (r *request) pushed() []build.Names {
	all := make([]build.Names, len(r.orders))
	for _, p := range r.publications {
		if !p.Push {
			continue
		}
		for i, names := range p.names {
			for _, tag := range names.Tags {
				if !slices.Contains(all[i].Tags, tag) {
					all[i].Tags = append(all[i].Tags, tag)
				}
			}
			for _, repository := range names.Repositories {
				if !slices.Contains(all[i].Repositories, repository) {
					all[i].Repositories = append(all[i].Repositories, repository)
				}
			}
		}
	}
	return all
}

// hosts are the registries of one line.
func (p publication) hosts() []string {
	var hosts []string
	for _, names := range p.names {
		for _, tag := range names.Tags {
			hosts = append(hosts, tag.RegistryStr())
		}
		for _, repository := range names.Repositories {
			hosts = append(hosts, repository.RegistryStr())
		}
	}
	return hosts
}

// insecureHosts are those of the lines that say so. A host that another line wants to be secure is an error.
func (r *request) insecureHosts() ([]string, error) {
	insecure, secure := map[string]string{}, map[string]string{}
	var hosts []string
	for _, p := range r.publications {
		for _, host := range p.hosts() {
			switch {
			case p.Push && p.Insecure:
				insecure[host] = p.text
				hosts = append(hosts, host)
			case p.Push:
				secure[host] = p.text
			}
		}
	}
	for _, host := range hosts {
		for _, other := range slices.Sorted(maps.Keys(secure)) {
			// A host without a port is for all its ports.
			if name, _, _ := strings.Cut(other, ":"); strings.EqualFold(host, other) || strings.EqualFold(host, name) {
				return nil, fmt.Errorf("output %q: registry.insecure=true is for %s, to which %s is pushed without it; write it in both, or in neither",
					insecure[host], host, line(secure[other]))
			}
		}
	}
	return hosts, nil
}

// line is how a message calls a line of outputs.
func line(text string) string {
	if text == "" {
		return "another image"
	}
	return fmt.Sprintf("output %q", text)
}
