// Command specdoc turns the JSON Schema of the spec into the tables of keys in
// docs/spec.md. It stands apart from schemagen so that the page says what the
// published schema says, and not what the types would. The page's own prose,
// outside the marked part, is kept as it is.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/invopop/jsonschema"
)

//go:generate go run . ../../../schema/nixery.schema.json ../../../docs/spec.md

const (
	begin = "<!-- tables: made by go generate ./internal/spec/specdoc -->\n"
	end   = "<!-- end of tables -->\n"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: specdoc SCHEMA PAGE")
	}
	page, err := update(os.Args[1], os.Args[2])
	if err == nil {
		err = os.WriteFile(os.Args[2], page, 0o644)
	}
	if err != nil {
		log.Fatal("specdoc: ", err)
	}
}

// update returns the page with fresh tables.
func update(schemaFile, pageFile string) ([]byte, error) {
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		return nil, err
	}
	var schema jsonschema.Schema
	if err := json.Unmarshal(text, &schema); err != nil {
		return nil, fmt.Errorf("reading %s: %w", schemaFile, err)
	}
	page, err := os.ReadFile(pageFile)
	if err != nil {
		return nil, err
	}
	before, rest, begins := bytes.Cut(page, []byte(begin))
	_, after, ends := bytes.Cut(rest, []byte(end))
	if !begins || !ends {
		return nil, fmt.Errorf("%s has no part for tables, between %q and %q", pageFile, begin, end)
	}
	tables := []byte(begin + tablesOf(&schema) + "\n" + end)
	return bytes.Join([][]byte{before, tables, after}, nil), nil
}

// parts are the page's tables, from the outside in. Of the top level's keys
// those of a single image are shown once, under Image.
var parts = []struct{ definition, heading string }{
	{"Spec", "The top level"},
	{"Image", "An image"},
	{"Config", "`config`"},
	{"Layers", "`layers`"},
	{"Nixpkgs", "`nixpkgs`"},
	{"Git", "`nixpkgs.git`"},
}

func tablesOf(schema *jsonschema.Schema) string {
	var b strings.Builder
	image := schema.Definitions["Image"]
	for _, part := range parts {
		definition := schema.Definitions[part.definition]
		fmt.Fprintf(&b, "\n### %s\n\n| key | value | default | meaning |\n|---|---|---|---|\n", part.heading)
		for key, value := range definition.Properties.FromOldest() {
			if _, ofImage := image.Properties.Get(key); ofImage && part.definition == "Spec" {
				continue
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", key, cell(kind(value)), cell(fallback(definition, key, value)), cell(value.Description))
		}
	}
	return b.String()
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

func fallback(definition *jsonschema.Schema, key string, value *jsonschema.Schema) string {
	for _, required := range definition.Required {
		if required == key {
			return "*required*"
		}
	}
	if value.Default == nil {
		return ""
	}
	return fmt.Sprintf("`%v`", value.Default)
}
