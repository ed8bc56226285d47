package main

import (
	"fmt"
	"strings"

	"github.com/org/nixery-action/internal/actions"
)

const head = `# Made by go generate ./internal/actions from its table; change that.
name: Nixery
description: Build multi-architecture container images from a YAML list of Nix packages, and publish them.
author: nixery-action
branding:
  icon: layers
  color: blue

`

const tail = `
runs:
  using: node24
  main: shim/main.js
`

// actionText is action.yml, https://docs.github.com/actions (metadata syntax).
func actionText() string {
	var b strings.Builder
	b.WriteString(head + "inputs:\n")
	for _, input := range actions.InputTable() {
		b.WriteString(entry(input.Name, input.Description))
		if input.Default != "" {
			fmt.Fprintf(&b, "    default: %q\n", input.Default)
		}
	}
	b.WriteString("\noutputs:\n")
	for _, output := range actions.OutputTable() {
		b.WriteString(entry(output.Name, output.Description))
	}
	return b.String() + tail
}

// entry has the description as a folded block, in which no character has a meaning of YAML's.
func entry(name, description string) string {
	return "  " + name + ":\n    description: >-\n" + wrapped(description, "      ")
}

const width = 118

// wrapped breaks text at blanks into indented lines.
func wrapped(text, indent string) string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(indent)+len(line)+len(" ")+len(word) > width {
			lines, line = append(lines, indent+line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return strings.Join(append(lines, indent+line), "\n") + "\n"
}
