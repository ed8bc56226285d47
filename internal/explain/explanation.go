package explain

import (
	"encoding/json"
	"fmt"
	"io"
	"math"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
)

// Explanation is the plan of one closure, with its reasons and its price.
type Explanation struct {
	Title    string  `json:"-"` // says in a page which plan it is, where there is no image
	Image    string  `json:"image,omitempty"`
	Platform string  `json:"platform,omitempty"`
	Layers   []Layer `json:"layers"` // lowest first
	Rebuild  Rebuild `json:"rebuild"`

	costs map[nix.StorePath]Cost // of a change of each path
}

// Layer is one group of a plan.
type Layer struct {
	Paths []nix.StorePath `json:"paths"`         // sorted
	Size  int64           `json:"size"`          // sum of NAR sizes, bytes
	Key   layers.Key      `json:"key,omitempty"` // absent if the closure has no NAR hashes
	Share float64         `json:"share"`         // of the plan's bytes, 0 to 1, four places
	Risk  int64           `json:"risk"`          // the planner's: comparable within a plan only
	Tier  layers.Tier     `json:"tier"`
	Why   string          `json:"why"` // one sentence for people

	group layers.Group
}

// Explain plans a closure and returns the plan with its reasons. The compression is
// part of the keys.
func Explain(closure nix.Closure, opts layers.Options, compression layers.Compression) Explanation {
	groups := layers.Explain(closure, opts)
	e := Explanation{Layers: make([]Layer, len(groups))}
	for i, g := range groups {
		e.Layers[i] = newLayer(g, compression)
		e.Layers[i].Why = why(g, groups)
	}
	total := e.Size()
	for i := range e.Layers {
		e.Layers[i].Share = share(e.Layers[i].Size, total)
	}
	e.costs = costs(closure, groups)
	e.Rebuild = rebuild(closure, e.costs)
	return e
}

func newLayer(g layers.Explained, compression layers.Compression) Layer {
	layer := Layer{Size: g.Group.Size(), Risk: g.Risk, Tier: g.Tier, group: g.Group, Key: layers.KeyOf(g.Group, compression)}
	for _, info := range g.Group {
		layer.Paths = append(layer.Paths, info.Path)
		if info.NarHash.Hex == "" {
			layer.Key = ""
		}
	}
	return layer
}

func share(part, total int64) float64 {
	if total == 0 {
		return 0
	}
	return math.Round(float64(part)/float64(total)*1e4) / 1e4
}

// Size is the sum of the NAR sizes of all layers, in bytes.
func (e Explanation) Size() int64 {
	var sum int64
	for _, layer := range e.Layers {
		sum += layer.Size
	}
	return sum
}

// Count is the number of store paths.
func (e Explanation) Count() int {
	count := 0
	for _, layer := range e.Layers {
		count += len(layer.Paths)
	}
	return count
}

// name returns which plan it is; empty if neither image nor title is set.
func (e Explanation) name() string {
	switch {
	case e.Image != "" && e.Platform != "":
		return e.Image + " for " + e.Platform
	case e.Image != "":
		return e.Image
	}
	return e.Title
}

// why returns the planner's reason as a sentence.
func why(g layers.Explained, all []layers.Explained) string {
	switch {
	case g.Tier == layers.Single:
		return "The budget has a layer for every path."
	case g.Tier == layers.Heavy:
		return fmt.Sprintf("One of the %d largest paths: alone, no other path's change sends it again.", heavies(all))
	case g.Tier == layers.Application && len(g.Group) == 1:
		return "Nothing refers to this path: it changes with every build."
	case g.Tier == layers.Application:
		return "Nothing refers to these paths: they change with every build."
	case len(all) == 1:
		return "The budget allows one layer only."
	case len(g.Group) == 1:
		return "A light path for which the budget had a layer left: in company it would cost a rebuild more."
	}
	return "Light paths that are about as likely to change: here sharing a layer costs a rebuild least."
}

func heavies(all []layers.Explained) int {
	count := 0
	for _, g := range all {
		if g.Tier == layers.Heavy {
			count++
		}
	}
	return count
}

// WriteJSON writes one plan as an object with layers, several as a list of such
// objects under plans.
func WriteJSON(w io.Writer, plans []Explanation) error {
	if len(plans) == 1 {
		return writeJSON(w, plans[0])
	}
	return writeJSON(w, map[string][]Explanation{"plans": plans})
}

func writeJSON(w io.Writer, value any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(value)
}
