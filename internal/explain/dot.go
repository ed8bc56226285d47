package explain

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/progress"
)

var dotColors = map[layers.Tier]string{
	layers.Single: "#dfe3ea", layers.Heavy: "#cfe0fc", layers.Light: "#cdeadb", layers.Application: "#fbdcc0",
}

// WriteDOT writes each plan as a graph in the language of Graphviz
// (https://graphviz.org/doc/info/lang.html): store paths and their references,
// clustered by layer. Nodes and edges are in the plan's order.
func WriteDOT(w io.Writer, plans []Explanation) error {
	out := bufio.NewWriter(w)
	for _, p := range plans {
		p.writeDOT(out)
	}
	return out.Flush()
}

// writeDOT leaves errors to the writer's Flush.
func (e Explanation) writeDOT(w *bufio.Writer) {
	fmt.Fprintf(w, "digraph %s {\n", quote(e.name()))
	fmt.Fprintf(w, "  label=%s; rankdir=LR; compound=true; fontname=\"sans-serif\";\n", quote(e.name()))
	fmt.Fprintln(w, `  node [shape=box, style=filled, fillcolor=white, fontname="sans-serif"];`)
	for i, layer := range e.Layers {
		label := fmt.Sprintf("layer %d · %s · %s", i+1, layer.Tier, progress.Size(layer.Size))
		fmt.Fprintf(w, "  subgraph cluster_%d {\n", i+1)
		fmt.Fprintf(w, "    label=%s; style=filled; color=%s; tooltip=%s;\n", quote(label), quote(dotColors[layer.Tier]), quote(layer.Why))
		for _, info := range layer.group {
			fmt.Fprintf(w, "    %s [label=%s];\n", quote(string(info.Path)), quote(info.Path.Name()+"\n"+progress.Size(info.NarSize)))
		}
		fmt.Fprintln(w, "  }")
	}
	for _, layer := range e.Layers {
		for _, info := range layer.group {
			for _, ref := range info.References {
				fmt.Fprintf(w, "  %s -> %s;\n", quote(string(info.Path)), quote(string(ref)))
			}
		}
	}
	fmt.Fprintln(w, "}")
}

// dotEscapes keeps quotes within a quoted string, and backslashes from being
// read as escapes of labels, such as \N for the node's name.
var dotEscapes = strings.NewReplacer(`"`, `\"`, `\`, `\\`, "\n", `\n`)

func quote(s string) string { return `"` + dotEscapes.Replace(s) + `"` }
