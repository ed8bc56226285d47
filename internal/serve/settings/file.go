package settings

import (
	"errors"
	"fmt"
	"io"

	"gopkg.in/yaml.v3"

	"github.com/org/nixery-action/internal/plainfile"
	"github.com/org/nixery-action/internal/suggest"
)

// maxFile is more than anybody writes.
const maxFile = 1 << 20

// file reads the file that --config or its variable names, if one does.
func (d *draft) file(p Places) map[string]said {
	var config Setting
	for _, row := range Table {
		if row.Flag == "config" {
			config = row
		}
	}
	at := config.find(p, nil)
	if len(at.values) != 1 {
		return nil
	}
	root, err := readFile(at.values[0])
	if err != nil {
		d.fail(at.origin, err)
		return nil
	}
	return d.keys(at.values[0], root)
}

func readFile(path string) (*yaml.Node, error) {
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

// keys takes a mapping of names to values or lists of values apart.
func (d *draft) keys(path string, root *yaml.Node) map[string]said {
	found := map[string]said{}
	if root.Kind != yaml.MappingNode {
		d.fail(place(path, root), errors.New("want a mapping, name: value"))
		return nil
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		row := inFile(key.Value)
		switch _, twice := found[key.Value]; {
		case row == nil:
			d.fail(place(path, key), unknown(key.Value))
			continue
		case twice:
			d.fail(place(path, key), fmt.Errorf("%s is given twice", key.Value))
			continue
		}
		values, err := scalars(row, value)
		if err != nil {
			d.fail(place(path, value), fmt.Errorf("%s: %w", key.Value, err))
			continue
		}
		found[key.Value] = said{values, place(path, value), 1}
	}
	return found
}

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
