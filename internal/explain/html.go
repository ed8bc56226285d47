package explain

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/progress"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// The size of a map in its own units; a reader scales it.
const (
	mapWidth  = 1000
	mapHeight = 560
)

// page is what the template is filled with.
type page struct {
	Policy   string
	CSS      template.CSS
	JS       template.JS
	Title    string
	Sections []section
}

// section is one plan.
type section struct {
	Number      int
	Title       string
	Size, Ideal string
	Paths       int
	Layers      []sectionLayer
	Legend      []legendEntry
	Changes     []changeRow
}

type sectionLayer struct {
	ID                     string // unique in the page
	Number                 int
	Size, Share, Tier, Why string
	Risk                   int64
	Names                  string
	Place                  rect
	Paths                  []pathRow
}

type pathRow struct {
	Path, Name, Size string
	Rebuild          string // what a change of it costs
	Place            rect
}

type legendEntry struct{ Tier, Text string }

type changeRow struct {
	Kind                                        string
	Paths                                       int
	Mean, MeanIdeal, Worst, WorstIdeal, Slowest string
}

// WriteHTML writes plans as one page that loads nothing. Only the search and the
// arrow keys need its script. Its Content-Security-Policy allows only the style and
// the script that it contains.
func WriteHTML(w io.Writer, plans []Explanation) error {
	p := page{
		Policy: "default-src 'none'; style-src " + hashOf(pageCSS) + "; script-src " + hashOf(pageJS) + "; base-uri 'none'; form-action 'none'",
		CSS:    template.CSS(pageCSS),
		JS:     template.JS(pageJS),
		Title:  "Layers",
	}
	for i, e := range plans {
		p.Sections = append(p.Sections, newSection(i+1, e))
	}
	if len(plans) == 1 {
		p.Title = "Layers of " + p.Sections[0].Title
	}
	return pageTemplate.Execute(w, p)
}

// hashOf is the source expression of CSP Level 3, section 2.3.1, that allows
// this inline text and no other.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func newSection(number int, e Explanation) section {
	s := section{Number: number, Title: e.name(), Size: progress.Size(e.Size()), Paths: e.Count()}
	if s.Title == "" {
		s.Title = "a closure"
	}
	places := placesOf(e)
	for i, layer := range e.Layers {
		l := sectionLayer{
			ID: fmt.Sprintf("%d-%d", number, i+1), Number: i + 1,
			Size: progress.Size(layer.Size), Share: percent(layer.Share), Tier: string(layer.Tier), Why: layer.Why, Risk: layer.Risk,
			Names: namesOf(layer.group), Place: places[i],
		}
		group := bySize(layer.group)
		cells := cellsOf(group, places[i])
		for j, info := range group {
			l.Paths = append(l.Paths, e.pathRow(info, cells[j]))
		}
		s.Layers = append(s.Layers, l)
	}
	s.Legend = legendOf(e)
	for _, c := range []struct {
		kind   string
		change Change
	}{{"one application", e.Rebuild.Application}, {"one library", e.Rebuild.Library}} {
		if c.change.Paths > 0 {
			s.Changes = append(s.Changes, newChangeRow(c.kind, c.change))
		}
	}
	return s
}

func (e Explanation) pathRow(info nix.PathInfo, place rect) pathRow {
	c := e.costs[info.Path]
	return pathRow{
		Path: string(info.Path), Name: info.Path.Name(), Size: progress.Size(info.NarSize), Place: place,
		Rebuild: fmt.Sprintf("%s in %s (ideal %s)", progress.Size(c.Size), plural(c.Layers, "layer"), progress.Size(c.Ideal)),
	}
}

func newChangeRow(kind string, c Change) changeRow {
	return changeRow{
		Kind: kind, Paths: c.Paths, Slowest: c.WorstPath.Name(),
		Mean: progress.Size(c.Mean.Size), MeanIdeal: progress.Size(c.Mean.Ideal),
		Worst: progress.Size(c.Worst.Size), WorstIdeal: progress.Size(c.Worst.Ideal),
	}
}

func legendOf(e Explanation) []legendEntry {
	present := map[layers.Tier]bool{}
	for _, layer := range e.Layers {
		present[layer.Tier] = true
	}
	var entries []legendEntry
	for _, line := range legend {
		if present[line.tier] {
			entries = append(entries, legendEntry{string(line.tier), line.text})
		}
	}
	return entries
}

// placesOf is where the layers lie on the map: by size, but none so small that
// it cannot be seen.
func placesOf(e Explanation) []rect {
	if len(e.Layers) == 0 {
		return nil
	}
	least := max(float64(e.Size())/4000, 1)
	weights := make([]float64, len(e.Layers))
	for i, layer := range e.Layers {
		weights[i] = max(float64(layer.Size), least)
	}
	places := squarify(weights, rect{0, 0, mapWidth, mapHeight})
	for i := range places {
		places[i] = places[i].inset(1.5)
	}
	return places
}

// cellsOf is where the paths of a layer lie within its place.
func cellsOf(group layers.Group, place rect) []rect {
	weights := make([]float64, len(group))
	for i, info := range group {
		weights[i] = max(float64(info.NarSize), 1)
	}
	return squarify(weights, place)
}

func percent(share float64) string { return fmt.Sprintf("%.1f%%", 100*share) }

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// Count is how many store paths the layer has, in words.
func (l sectionLayer) Count() string { return plural(len(l.Paths), "path") }

// Wide reports whether a name fits into the place.
func (p pathRow) Wide() bool { return p.Place.W > 42 && p.Place.H > 15 }

// Tall reports whether a size fits below the name.
func (p pathRow) Tall() bool { return p.Wide() && p.Place.H > 30 }
