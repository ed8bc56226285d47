package cache

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/org/nixery-action/internal/suggest"
)

// Type is the type of a location.
type Type string

// The types of locations, in docker's words.
const (
	GitHub   Type = "gha"
	Local    Type = "local"
	InOCI    Type = "registry"
	typeList      = "gha, local, registry"
)

// Location says in docker's words where a cache is, https://docs.docker.com/build/cache/backends/
type Location struct {
	Type  Type
	Scope string // gha; "" for the one that all share
	Path  string // local: the directory
	Ref   string // registry: a repository, with or without a tag
	Mode  Mode   // min if nothing was said
}

// direction is what differs between cache-from and cache-to.
type direction struct {
	name      string
	directory string // the key of a local cache's directory
	other     string // the same in the other direction
	keys      map[Type][]string
}

var (
	from = direction{"cache-from", "src", "dest", map[Type][]string{
		GitHub: {"scope"}, Local: {"src"}, InOCI: {"ref"},
	}}
	// What the cache does can never fail a build: docker's word for that is understood, and changes nothing.
	to = direction{"cache-to", "dest", "src", map[Type][]string{
		GitHub: {"scope", "mode", "ignore-error"}, Local: {"dest", "mode", "ignore-error"}, InOCI: {"ref", "mode", "ignore-error"},
	}}
)

// ParseFrom reads docker's --cache-from: type=gha[,scope=…], type=local,src=…, type=registry,ref=…, or a reference alone.
func ParseFrom(s string) (Location, error) { return from.parse(s) }

// ParseTo reads docker's --cache-to: type=gha[,scope=…], type=local,dest=…, type=registry,ref=…, each with [,mode=min|max], or a
// reference alone.
func ParseTo(s string) (Location, error) { return to.parse(s) }

func (d direction) parse(s string) (Location, error) {
	values, err := fields(s)
	if err != nil {
		return Location{}, fmt.Errorf("%s %q: %w", d.name, s, err)
	}
	l, err := d.location(values)
	if err != nil {
		return Location{}, fmt.Errorf("%s %q: %w", d.name, s, err)
	}
	return l, nil
}

type field struct{ key, value string }

func fields(s string) ([]field, error) {
	reader := csv.NewReader(strings.NewReader(s))
	list, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("it is empty; its type is one of %s", typeList)
	}
	if err != nil {
		return nil, fmt.Errorf("reading fields: %w", err)
	}
	if _, err := reader.Read(); !errors.Is(err, io.EOF) {
		return nil, errors.New("it has more than one line")
	}
	if len(list) == 1 && !strings.Contains(list[0], "=") {
		return []field{{"type", string(InOCI)}, {"ref", list[0]}}, nil
	}
	var all []field
	for _, text := range list {
		key, value, ok := strings.Cut(text, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		if !ok {
			return nil, fmt.Errorf("%q is not of the form key=value", text)
		}
		if slices.ContainsFunc(all, func(f field) bool { return f.key == key }) {
			return nil, fmt.Errorf("%s is given twice", key)
		}
		all = append(all, field{key, value})
	}
	return all, nil
}

func (d direction) location(all []field) (Location, error) {
	l := Location{Mode: Min}
	for _, f := range all {
		if f.key == "type" {
			l.Type = Type(f.value)
		}
	}
	known, ok := d.keys[l.Type]
	if !ok {
		return Location{}, unknown("type", string(l.Type), []string{string(GitHub), string(Local), string(InOCI)})
	}
	for _, f := range all {
		if f.key != "type" && !slices.Contains(known, f.key) {
			return Location{}, d.unknownKey(l.Type, f.key, known)
		}
		if err := l.set(f); err != nil {
			return Location{}, err
		}
	}
	return l, d.complete(l)
}

func (l *Location) set(f field) error {
	switch f.key {
	case "scope":
		l.Scope = f.value
	case "src", "dest":
		l.Path = f.value
	case "ref":
		l.Ref = f.value
	case "mode":
		l.Mode = Mode(f.value)
		if l.Mode != Min && l.Mode != Max {
			return fmt.Errorf("mode %q is neither min nor max", f.value)
		}
	}
	return nil
}

func (d direction) complete(l Location) error {
	switch {
	case l.Type == Local && l.Path == "":
		return fmt.Errorf("%s is missing; write type=local,%s=DIR", d.directory, d.directory)
	case l.Type == InOCI && l.Ref == "":
		return errors.New("ref is missing; write type=registry,ref=REPOSITORY")
	case l.Type == InOCI:
		_, err := ParseRef(l.Ref)
		return err
	}
	return nil
}

func (d direction) unknownKey(t Type, key string, known []string) error {
	switch key {
	case "mode", "ignore-error":
		return fmt.Errorf("%s is for cache-to", key)
	case d.other:
		return fmt.Errorf("%s is not for %s; write %s=DIR", key, d.name, d.directory)
	}
	return fmt.Errorf("type=%s: %w", t, unknown("key", key, known))
}

// unknown names the nearest of what is known, or all.
func unknown(what, word string, known []string) error {
	if near := suggest.Nearest(word, known, 1); len(near) > 0 {
		return fmt.Errorf("unknown %s %q; did you mean %s?", what, word, near[0])
	}
	return fmt.Errorf("unknown %s %q; known are %s", what, word, strings.Join(known, ", "))
}

// maxTag keeps the tags of all scopes within the 128 characters that a tag may have.
const maxTag = 128 - 1 - len(ScopePrefix) - len("blob-") - 64

func ParseRef(ref string) (name.Tag, error) {
	tag, err := name.NewTag(ref, name.WithDefaultTag(""))
	if err != nil {
		return name.Tag{}, fmt.Errorf("%q is not a repository, nor one with a tag: %w", ref, err)
	}
	if len(tag.TagStr()) > maxTag {
		return name.Tag{}, fmt.Errorf("the tag of %q is longer than %d characters", ref, maxTag)
	}
	return tag, nil
}
