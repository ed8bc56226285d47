package main

import (
	"fmt"
	"strings"

	"github.com/invopop/jsonschema"
)

// kind says in words what values a key takes.
func kind(s *jsonschema.Schema) string {
	switch {
	case s.Ref != "":
		return "a mapping, see below"
	case len(s.AnyOf) > 0:
		return either(s.AnyOf, "a ", "")
	case len(s.Enum) > 0:
		return oneOf(s.Enum)
	}
	switch s.Type {
	case "array":
		return "a list of " + plural(s.Items)
	case "object":
		return mapping(s)
	case "integer":
		return fmt.Sprintf("%s to %s", s.Minimum, s.Maximum)
	}
	return "a " + s.Type
}

// either names the types of a value that may be written in several ways.
func either(all []*jsonschema.Schema, article, ending string) string {
	var names []string
	for _, s := range all {
		names = append(names, article+strings.ReplaceAll(s.Type, "integer", "number")+ending)
	}
	return strings.Join(names, " or ")
}

func oneOf(values []any) string {
	var texts []string
	for _, value := range values {
		texts = append(texts, fmt.Sprintf("`%v`", value))
	}
	return strings.Join(texts, " or ")
}

func plural(s *jsonschema.Schema) string {
	switch {
	case len(s.AnyOf) > 0:
		return either(s.AnyOf, "", "s")
	case len(s.Enum) > 0:
		return oneOf(s.Enum)
	}
	return s.Type + "s"
}

func mapping(s *jsonschema.Schema) string {
	switch values := s.AdditionalProperties; {
	case values == nil:
		return "a mapping of anything that Nix has"
	case values.Ref != "":
		return "a mapping, name to image"
	default:
		return "a mapping of " + plural(values)
	}
}
