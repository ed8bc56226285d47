// Command actiongen turns the table of inputs and outputs of package actions into
// action.yml, the README's tables and the JSON Schema of a step's inputs. It stands
// apart so that the program itself carries no templates. What it writes says what
// the table says, and nothing else: the README's own prose is kept as it is.
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: actiongen ROOT (of the project)")
	}
	if err := writeAll(os.Args[1]); err != nil {
		log.Fatal("actiongen: ", err)
	}
}

func writeAll(root string) error {
	files, err := generate(root)
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate returns the text of each generated file, by its name below root.
func generate(root string) (map[string]string, error) {
	old, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		return nil, err
	}
	page, err := updated(string(old))
	if err != nil {
		return nil, fmt.Errorf("updating README.md: %w", err)
	}
	schema, err := schemaText()
	if err != nil {
		return nil, fmt.Errorf("making the schema: %w", err)
	}
	return map[string]string{"README.md": page, "action.yml": actionText(), "schema/action.schema.json": schema}, nil
}
