package main

import (
	"bytes"
	"encoding/json"

	"github.com/invopop/jsonschema"

	"github.com/org/nixery-action/internal/actions"
)

// expression is a value that the runner works out, so it cannot be judged before.
const expression = `\$\{\{`

// schemaText is the JSON Schema of what a step of ours may have under with:.
func schemaText() (string, error) {
	schema := &jsonschema.Schema{
		Version:              jsonschema.Version,
		Title:                "with: of a step that uses nixery-action",
		Type:                 "object",
		Properties:           jsonschema.NewProperties(),
		AdditionalProperties: jsonschema.FalseSchema,
	}
	for _, input := range actions.InputTable() {
		property := valuesOf(input)
		property.Description, property.WriteOnly = input.Description, input.Secret
		if input.Default != "" {
			property.Default = input.Default
		}
		schema.Properties.Set(input.Name, property)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(schema)
	return out.String(), err
}

func valuesOf(input actions.Input) *jsonschema.Schema {
	switch input.Kind {
	case actions.Switch:
		written := &jsonschema.Schema{Type: "string", Pattern: `^(|true|True|TRUE|false|False|FALSE)$|` + expression}
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "boolean"}, written}}
	case actions.Choice:
		words := &jsonschema.Schema{Enum: []any{""}}
		for _, word := range input.Words {
			words.Enum = append(words.Enum, word)
		}
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{words, {Type: "string", Pattern: expression}}}
	case actions.Path:
		return &jsonschema.Schema{Type: "string", Pattern: `^[^\r\n]*\n?$`}
	default:
		return &jsonschema.Schema{Type: "string"}
	}
}
