package spec

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
)

const root = "../.."

func compileSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(root, "schema/nixery.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// validate judges YAML by the schema, as an editor would.
func validate(schema *jsonschema.Schema, text []byte) error {
	var value any
	if err := yaml.Unmarshal(text, &value); err != nil {
		return err
	}
	return schema.Validate(value)
}

func everySet(string) (string, bool) { return "x1", true }

// Every spec that the project shows to anyone is valid, by Parse and by the
// schema.
func TestSpecsOfTheProject(t *testing.T) {
	schema := compileSchema(t)
	all := specsOfTheProject(t)
	if len(all) < 5 {
		t.Fatalf("only %d specs found", len(all))
	}
	for name, text := range all {
		if _, err := Parse(name, text, everySet); err != nil {
			t.Errorf("Parse: %v", err)
		}
		if err := validate(schema, text); err != nil {
			t.Errorf("%s: by the schema: %v", name, err)
		}
	}
}

func specsOfTheProject(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, file)
		if entry.IsDir() {
			if rel == "testdata/specs/bad" || strings.HasPrefix(entry.Name(), ".git") || entry.Name() == "node_modules" {
				return fs.SkipDir
			}
			return nil
		}
		if !isSpec(rel) && !isPage(rel) {
			return nil
		}
		text, err := os.ReadFile(file)
		if isSpec(rel) {
			all[rel] = text
		} else {
			collectBlocks(all, rel, text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func isSpec(rel string) bool {
	base := filepath.Base(rel)
	return filepath.Ext(base) == ".yaml" && (strings.HasPrefix(base, "nixery") ||
		strings.HasPrefix(rel, "examples/") || filepath.Dir(rel) == "testdata/specs")
}

func isPage(rel string) bool {
	return rel == "README.md" || strings.HasPrefix(rel, "docs/") && filepath.Ext(rel) == ".md"
}

var block = regexp.MustCompile("(?ms)^```ya?ml\\n(.*?)^```")

// collectBlocks adds the YAML blocks of a page that are specs, by their keys.
func collectBlocks(all map[string][]byte, page string, text []byte) {
	for _, place := range block.FindAllSubmatchIndex(text, -1) {
		code := text[place[2]:place[3]]
		var keys map[string]yaml.Node
		if yaml.Unmarshal(code, &keys) != nil {
			continue
		}
		_, one := keys["packages"]
		_, several := keys["images"]
		if one || several {
			line := strings.Count(string(text[:place[2]]), "\n")
			all[page+", the block after line "+strconv.Itoa(line)] = code
		}
	}
}

// Where Parse and the schema have a table of keys each, the tables agree.
func TestSchemaHasTheSameKeys(t *testing.T) {
	d := &decoder{}
	schema := compileSchema(t)
	properties := func(keys ...string) map[string]*jsonschema.Schema {
		at := schema.Ref
		for _, key := range keys {
			at = at.Properties[key].Ref
		}
		return at.Properties
	}
	image := d.imageFields(&Image{})
	top := maps.Clone(image)
	for _, key := range []string{"version", "nixpkgs", "images"} {
		top[key] = nil
	}
	for _, test := range []struct {
		known      fields
		properties map[string]*jsonschema.Schema
	}{
		{top, properties()},
		{image, schema.Ref.Properties["images"].AdditionalProperties.(*jsonschema.Schema).Ref.Properties},
		{d.configFields(&Config{}), properties("config")},
		{d.layersFields(&Layers{}), properties("layers")},
		{d.nixpkgsFields(&Nixpkgs{}), properties("nixpkgs")},
		{d.gitFields(&Git{}), properties("nixpkgs", "git")},
	} {
		inParse, inSchema := slices.Sorted(maps.Keys(test.known)), slices.Sorted(maps.Keys(test.properties))
		if diff := cmp.Diff(inParse, inSchema); diff != "" {
			t.Errorf("keys, -Parse +schema:\n%s", diff)
		}
	}
}
