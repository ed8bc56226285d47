package settings

import (
	"errors"
	"fmt"
	"io"

	"gopkg.in/yaml.v3"

	"github.com/org/nixery-action/internal/plainfile"
	"github.com/org/nixery-action/internal/suggest"
)

// maxFile bounds the file, in bytes.
const maxFile = 1 << 20

// readFile returns the values of the YAML file that --config or its variable names.
func (d *draft) readFile(at value) map[string]any {
	root, err := parseFile(at.Texts[0])
	if err != nil {
		d.check(at.Place, err)
		return nil
	}
	return d.keys(at.Texts[0], root)
}

// parseFile returns the root of a document; an empty one is an empty mapping.
func parseFile(path string) (*yaml.Node, error) {
	f, err := plainfile.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if document.Kind == 0 {
		return &yaml.Node{Kind: yaml.MappingNode}, nil
	}
	return document.Content[0], nil
}

// keys returns the values of a mapping; wrong ones are left out, and reported.
func (d *draft) keys(path string, root *yaml.Node) map[string]any {
	found := map[string]any{}
	if root.Kind != yaml.MappingNode {
		d.check(place(path, root), errors.New("want a mapping, name: value"))
	}
	for i := 0; root.Kind == yaml.MappingNode && i+1 < len(root.Content); i += 2 {
		key, node := root.Content[i], root.Content[i+1]
		row := inFile(key.Value)
		if row == nil {
			d.check(place(path, key), unknown(key.Value))
			continue
		}
		if found[key.Value] != nil {
			d.check(place(path, key), fmt.Errorf("%s is given twice", key.Value))
			continue
		}
		texts, err := scalars(row, node)
		if err != nil {
			d.check(place(path, node), fmt.Errorf("%s: %w", key.Value, err))
			continue
		}
		found[key.Value] = value{texts, place(path, node), fromFile}
	}
	return found
}

// inFile returns the row of a key, or nil.
func inFile(name string) *Setting {
	for i := range Table {
		if row := &Table[i]; row.Flag == name && name != "" && name != "config" {
			return row
		}
	}
	return nil
}

func unknown(name string) error {
	var names []string
	for _, row := range Table {
		if inFile(row.Flag) != nil {
			names = append(names, row.Flag)
		}
	}
	if near := suggest.Nearest(name, names, 1); len(near) > 0 {
		return fmt.Errorf("unknown key %.100q; did you mean %s?", name, near[0])
	}
	return fmt.Errorf("unknown key %.100q", name)
}

// scalars returns the text of a scalar, or the texts of a list of them.
func scalars(row *Setting, n *yaml.Node) ([]string, error) {
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag != "!!null":
		return []string{n.Value}, nil
	case n.Kind != yaml.SequenceNode || !row.List:
		return nil, errors.New("want " + row.Value)
	}
	var values []string
	for _, one := range n.Content {
		if one.Kind != yaml.ScalarNode {
			return nil, errors.New("want a list of words")
		}
		values = append(values, one.Value)
	}
	return values, nil
}

func place(path string, n *yaml.Node) string { return fmt.Sprintf("%s:%d:%d", path, n.Line, n.Column) }
