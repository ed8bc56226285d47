package serve

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/org/nixery-action/internal/build"
	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/serve/route"
	"github.com/org/nixery-action/internal/spec"
)

// query is an image that somebody wants. Queries that are equal want the same, and share a build.
type query struct {
	image         string // the name, without an architecture
	tag           string
	format        spec.Format
	architectures string // joined by commas
}

// queryOf makes a query of what a client wants and takes. An index is for who takes one and names no architecture.
func (s *Server) queryOf(n route.Name, tag string, t accepted) query {
	q := query{image: n.Image(), tag: tag, format: t.format, architectures: s.options.Architectures[0]}
	switch {
	case n.Architecture() != "":
		q.architectures = n.Architecture()
	case t.index:
		q.architectures = strings.Join(s.options.Architectures, ",")
	}
	return q
}

// String names the image as a client would.
func (q query) String() string { return q.image + ":" + q.tag }

// variant is what of an image the query wants.
func (q query) variant() string { return string(q.format) + " " + q.architectures }

// split lists the architectures.
func (q query) split() []string { return strings.Split(q.architectures, ",") }

// target is the query as the pipeline takes it: what a spec of these packages says.
func (s *Server) target(q query) build.Order {
	return build.Order{Image: spec.Image{
		Name:          q.image,
		Packages:      strings.Split(q.image, "/"),
		Architectures: q.split(),
		Layers:        s.options.Layers,
		Format:        q.format,
	}}
}

// key is all that fixes what a query's answer is at one time. Its fields cannot run into each other, and have the source and the
// architectures among them: in Nixery, arm64/hello after hello was the image for amd64. The source may hold a password, so what it
// is does not show.
func (s *Server) key(q query, source spec.Nixpkgs) (string, error) {
	fields := []any{layers.FormatVersion, source, s.options.Layers, s.options.Created.Unix(), q.image, q.tag, q.variant()}
	if alike := s.respelled(q); len(alike) > 0 { // then the answer is only for those rules
		fields = append(fields, alike)
	}
	raw, err := json.Marshal(fields)
	if err != nil {
		return "", fmt.Errorf("naming %s: %w", q, err)
	}
	return fmt.Sprintf("%s %s %x", q, q.variant(), sha256.Sum256(raw)), nil
}
