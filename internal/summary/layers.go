package summary

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/org/nixery-action/internal/markdown"
	"github.com/org/nixery-action/internal/progress"
	"github.com/org/nixery-action/internal/report"
)

// maxNames is how many of a layer's store paths are named: the heaviest.
const maxNames = 3

// layers writes a table of layers for each platform, folded.
func (p *pen) layers(r *report.Report, i, rows int) {
	came := cameOf(r, i)
	for _, platform := range r.Images[i].Platforms {
		if len(platform.Layers) > 0 {
			p.layersOf(platform, came, rows)
		}
	}
}

func (p *pen) layersOf(platform report.Platform, came map[string]report.LayerStatus, limit int) {
	defer p.fold(fmt.Sprintf("%s for %s", plural(len(platform.Layers), "layer"), p.plain(platform.Platform)), false)()
	var rows [][]string
	for n, layer := range platform.Layers[:min(limit, len(platform.Layers))] {
		rows = append(rows, []string{
			fmt.Sprint(n + 1), progress.Size(layer.Size), progress.Size(p.content(layer).unpacked), fmt.Sprint(len(layer.Paths)),
			p.text(p.content(layer).heaviest), p.text(string(came[layer.Digest.String()])),
		})
	}
	p.table([]markdown.Column{
		{Title: "No.", Right: true}, {Title: "Compressed", Right: true}, {Title: "Unpacked", Right: true}, {Title: "Paths", Right: true},
		{Title: "Heaviest"}, {Title: "Came"},
	}, rows, limit)
	if left := len(platform.Layers) - len(rows); left > 0 {
		p.printf("\n… and %d more\n", left)
	}
}

// content is what a row says of a layer's store paths.
type content struct {
	unpacked int64
	heaviest string
}

// content looks through a layer's paths once, though pages are written several times.
func (p *pen) content(layer report.Layer) content {
	c, ok := p.contents[layer.Digest]
	if !ok {
		c = content{unpacked(layer), heaviest(layer)}
		p.contents[layer.Digest] = c
	}
	return c
}

func unpacked(layer report.Layer) (sum int64) {
	for _, size := range layer.NarSizes {
		sum += size
	}
	return sum
}

// heaviest names the largest store paths of a layer, with their versions.
func heaviest(layer report.Layer) string {
	if len(layer.Paths) == 0 {
		return "links to the packages"
	}
	var first []int // places of the largest so far, largest first
	for i := range layer.Paths {
		if len(first) == maxNames && size(layer, i) <= size(layer, first[maxNames-1]) {
			continue
		}
		at, _ := slices.BinarySearchFunc(first, i, func(a, b int) int { return cmp.Or(cmp.Compare(size(layer, b), size(layer, a)), -1) })
		first = slices.Insert(first, at, i)
		first = first[:min(len(first), maxNames)]
	}
	var names []string
	for _, i := range first {
		names = append(names, clip(layer.Paths[i].Name(), 80))
	}
	text := strings.Join(names, ", ")
	if left := len(layer.Paths) - len(names); left > 0 {
		text += fmt.Sprintf(", and %d more", left)
	}
	return text
}

func size(layer report.Layer, i int) int64 {
	if i < len(layer.NarSizes) {
		return layer.NarSizes[i]
	}
	return 0
}
