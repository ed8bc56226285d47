package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/popularity"
	"github.com/org/nixery-action/internal/progress"
)

type planOptions struct {
	file       string
	images     []string
	platforms  []string
	closure    string
	budget     int
	popularity string
	format     string
}

func newPlan(c *console) *cobra.Command {
	var o planOptions
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show which store paths share a layer",
		Long: "plan prints the layers of store paths, lowest first, without packing or publishing\n" +
			"any. The root layer, which holds the links to the packages, is not among them.",
		Example: "  nixery-action plan\n" +
			"  nix path-info --json -r /run/current-system | nixery-action plan --closure - --budget 40",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return interrupted(cmd.Context(), plan(cmd.Context(), c, o))
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.file, "file", "f", "nixery.yaml", "the spec, whose packages are realised")
	f.StringArrayVar(&o.images, "image", nil, "plan only this image of the spec (repeatable)")
	f.StringSliceVar(&o.platforms, "platform", nil, "plan for these platforms instead of the spec's")
	f.StringVar(&o.closure, "closure", "", "plan this closure instead of a spec: what nix path-info --json -r prints; - is standard input")
	f.IntVar(&o.budget, "budget", 0, fmt.Sprintf("the most layers, instead of the spec's or %d", layers.DefaultBudget))
	f.StringVar(&o.popularity, "popularity", "embedded", "a table, name to count as JSON: a file, embedded or none")
	f.StringVar(&o.format, "format", "table", "table or json")
	cmd.MarkFlagsMutuallyExclusive("file", "closure")
	cmd.MarkFlagsMutuallyExclusive("image", "closure")
	cmd.MarkFlagsMutuallyExclusive("platform", "closure")
	return cmd
}

// planned is the plan of one closure. Image and platform are empty if the
// closure came from a file.
type planned struct {
	Image    string         `json:"image,omitempty"`
	Platform string         `json:"platform,omitempty"`
	Layers   []plannedLayer `json:"layers"`
}

type plannedLayer struct {
	Paths []nixbuild.StorePath `json:"paths"`
	Size  int64                `json:"size"`          // sum of NAR sizes, bytes
	Key   layers.Key           `json:"key,omitempty"` // absent if the closure has no NAR hashes
}

func plan(ctx context.Context, c *console, o planOptions) error {
	if o.format != "table" && o.format != "json" {
		return usagef("format %q: want table or json", o.format)
	}
	if o.budget < 0 {
		return usagef("budget %d: want at least 1", o.budget)
	}
	counts, err := readCounts(o.popularity)
	if err != nil {
		return err
	}
	plans, err := planAll(ctx, c, o, counts)
	if err != nil {
		return err
	}
	if o.format == "json" {
		return printPlansJSON(c.stdout, plans)
	}
	return printPlans(c.stdout, plans)
}

func planAll(ctx context.Context, c *console, o planOptions, counts popularity.Counts) ([]planned, error) {
	if o.closure == "" {
		return planSpec(ctx, c, o, counts)
	}
	closure, err := readClosure(o.closure)
	if err != nil {
		return nil, err
	}
	if o.budget == 0 {
		o.budget = layers.DefaultBudget
	}
	return []planned{newPlanned(closure, layers.Options{Budget: o.budget, Counts: counts}, layers.DefaultCompression)}, nil
}

func planSpec(ctx context.Context, c *console, o planOptions, counts popularity.Counts) ([]planned, error) {
	s, images, err := load(o.file, o.images)
	if err != nil {
		return nil, err
	}
	request, err := newRequest(buildOptions{platforms: o.platforms}, images)
	if err != nil {
		return nil, err
	}
	line, err := newLine(c)
	if err != nil {
		return nil, err
	}
	wishes, err := line.Closures(ctx, s.Nixpkgs, request.orders)
	if err != nil {
		return nil, withPlaces(err, s, request.images())
	}
	var plans []planned
	for _, w := range wishes {
		for _, order := range request.orders {
			if order.Name != w.Image {
				continue
			}
			opts := layers.Options{Budget: order.Layers.Budget, Counts: counts}
			if o.budget > 0 {
				opts.Budget = o.budget
			}
			compression := layers.Compression{Algorithm: layers.Algorithm(order.Layers.Compression), Level: order.Layers.Level}
			p := newPlanned(w.Closure, opts, compression)
			p.Image, p.Platform = w.Image, w.Platform.String()
			plans = append(plans, p)
		}
	}
	return plans, nil
}

func newPlanned(closure nixbuild.Closure, opts layers.Options, compression layers.Compression) planned {
	p := planned{Layers: []plannedLayer{}}
	for _, group := range layers.Plan(closure, opts) {
		layer := plannedLayer{Size: group.Size(), Paths: []nixbuild.StorePath{}}
		hashed := true
		for _, info := range group {
			layer.Paths = append(layer.Paths, info.Path)
			hashed = hashed && info.NarHash.Hex != ""
		}
		if hashed {
			layer.Key = layers.KeyOf(group, compression)
		}
		p.Layers = append(p.Layers, layer)
	}
	return p
}

func readCounts(where string) (popularity.Counts, error) {
	switch where {
	case "embedded":
		return popularity.Embedded(), nil
	case "none":
		return nil, nil
	}
	f, err := os.Open(where)
	if err != nil {
		return nil, usagef("popularity: %w; want a file, embedded or none", err)
	}
	defer f.Close()
	counts, err := popularity.Read(f)
	if err != nil {
		return nil, usagef("%s: %w", where, err)
	}
	return counts, nil
}

func readClosure(file string) (nixbuild.Closure, error) {
	in, where := io.Reader(os.Stdin), "standard input"
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nixbuild.Closure{}, usagef("closure: %w", err)
		}
		defer f.Close()
		in, where = f, file
	}
	closure, err := nixbuild.ReadClosure(bufio.NewReader(in))
	if err != nil {
		return closure, usagef("%s: %w", where, err)
	}
	return closure, nil
}

// printPlansJSON prints one plan as an object with layers, several as a list of
// such objects under plans.
func printPlansJSON(w io.Writer, plans []planned) error {
	var value any = map[string][]planned{"plans": plans}
	if len(plans) == 1 {
		value = plans[0]
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(value)
}

func printPlans(w io.Writer, plans []planned) error {
	for i, p := range plans {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if p.Image != "" {
			fmt.Fprintf(w, "%s for %s\n", p.Image, p.Platform)
		}
		if err := printPlan(w, p); err != nil {
			return err
		}
	}
	return nil
}

func printPlan(w io.Writer, p planned) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "layer\tsize\tpaths\t\t")
	var total int64
	count := 0
	for i, layer := range p.Layers {
		fmt.Fprintf(table, "%d\t%s\t%d\t  %s\n", i+1, progress.Size(layer.Size), len(layer.Paths), namesOf(layer.Paths))
		total += layer.Size
		count += len(layer.Paths)
	}
	fmt.Fprintf(table, "sum\t%s\t%d\t\n", progress.Size(total), count)
	return table.Flush()
}

// namesOf lists names without hashes, as many as fit a line.
func namesOf(paths []nixbuild.StorePath) string {
	const most = 4
	var names []string
	for _, p := range paths[:min(len(paths), most)] {
		names = append(names, p.Name())
	}
	text := strings.Join(names, " ")
	if more := len(paths) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
