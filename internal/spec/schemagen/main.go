// Command schemagen turns the types of package spec into the JSON Schema of the
// YAML file. It stands apart so that the program itself carries no schema code.
// Descriptions, defaults and patterns come from the types' comments and tags;
// only what Go's types cannot say is added here.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/spec"
)

const (
	module = "github.com/org/nixery-action/internal/spec"
	title  = "nixery-action spec"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: schemagen FILE (in the directory of package spec)")
	}
	schema, err := generate()
	if err == nil {
		err = os.WriteFile(os.Args[1], schema, 0o644)
	}
	if err != nil {
		log.Fatal("schemagen: ", err)
	}
}

// generate returns the schema. The current directory must be that of package spec,
// whose comments it reads.
func generate() ([]byte, error) {
	r := jsonschema.Reflector{FieldNameTag: "yaml", RequiredFromJSONSchemaTags: true}
	if err := r.AddGoComments(module, "."); err != nil {
		return nil, fmt.Errorf("reading comments: %w", err)
	}
	for name, comment := range r.CommentMap {
		r.CommentMap[name] = strings.ReplaceAll(comment, "\n", " ")
	}
	schema := r.Reflect(&spec.Spec{})
	amend(schema)
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(schema)
	return out.Bytes(), err
}

// amend adds what the types do not say.
func amend(schema *jsonschema.Schema) {
	schema.ID, schema.Title = "", title
	defs := schema.Definitions
	root := defs["Spec"]
	bothForms(root, defs["Image"])
	atMostOne(defs["Nixpkgs"], "channel", "git", "path", "flake")
	architectures := property(defs["Image"], "architectures")
	for _, name := range nix.Architectures() {
		architectures.Items.Enum = append(architectures.Items.Enum, name)
	}
	architectures.Default = []any{nix.Architectures()[0]}
	config := defs["Config"]
	property(config, "env").PropertyNames = &jsonschema.Schema{Pattern: "^[A-Za-z_][A-Za-z0-9_]*$"}
	property(config, "labels").PropertyNames = &jsonschema.Schema{Pattern: "^[!-~]+$"}
	ports := property(config, "exposed-ports")
	ports.Items = orNumber(ports.Items, "1", "65535")
	for key, highest := range map[string]json.Number{"user": "2147483647", "stop-signal": "64"} {
		written := *property(config, key)
		text := &jsonschema.Schema{Type: written.Type, Pattern: written.Pattern}
		either := orNumber(text, "0", highest)
		either.Description = written.Description
		config.Properties.Set(key, either)
	}
}

// bothForms lets an image's keys stand at the top level, or a mapping of images
// under the key images, but not both.
func bothForms(root, image *jsonschema.Schema) {
	images := property(root, "images")
	images.Type, images.Items = "object", nil
	images.AdditionalProperties = &jsonschema.Schema{Ref: "#/$defs/Image"}
	images.PropertyNames = &jsonschema.Schema{Pattern: "^[a-z0-9][a-z0-9._-]*$"}
	images.MinProperties = new(uint64(1))

	single := &jsonschema.Schema{Required: image.Required, Properties: jsonschema.NewProperties()}
	single.Properties.Set("images", jsonschema.FalseSchema)
	several := &jsonschema.Schema{Required: []string{"images"}, Properties: jsonschema.NewProperties()}
	for key, value := range image.Properties.FromOldest() {
		root.Properties.Set(key, value)
		several.Properties.Set(key, jsonschema.FalseSchema)
	}
	root.OneOf = []*jsonschema.Schema{single, several}
}

// atMostOne forbids any two of keys together.
func atMostOne(schema *jsonschema.Schema, keys ...string) {
	for i, a := range keys {
		for _, b := range keys[i+1:] {
			both := &jsonschema.Schema{Required: []string{a, b}}
			schema.AllOf = append(schema.AllOf, &jsonschema.Schema{Not: both})
		}
	}
}

// orNumber lets a string be written as a bare number, too.
func orNumber(text *jsonschema.Schema, lowest, highest json.Number) *jsonschema.Schema {
	number := &jsonschema.Schema{Type: "integer", Minimum: lowest, Maximum: highest}
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{text, number}}
}

func property(schema *jsonschema.Schema, key string) *jsonschema.Schema {
	value, ok := schema.Properties.Get(key)
	if !ok {
		panic("package spec has no key " + key + " any more")
	}
	return value
}
