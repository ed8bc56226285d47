package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/org/nixery-action/internal/bounded"
	"github.com/org/nixery-action/internal/explain"
	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/plainfile"
	"github.com/org/nixery-action/internal/popularity/crawl"
	"github.com/org/nixery-action/internal/spec"
)

type planOptions struct {
	asked      buildOptions // of which a plan has no more than what and for which platforms
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
			"any: how large each is, why it is there, and what a rebuild costs. The root layer,\n" +
			"which holds the links to the packages, is not among them.",
		Example: "  nixery-action plan\n" +
			"  nixery-action plan --format html >plan.html\n" +
			"  nix path-info --json -r /run/current-system | nixery-action plan --closure - --budget 40",
		Args: onlyFlags,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return interrupted(cmd.Context(), plan(cmd.Context(), c, o))
		},
	}
	o.asked.addSpecFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.closure, "closure", "", "plan this closure instead of a spec: what nix path-info --json -r prints; - is standard input")
	f.IntVar(&o.budget, "budget", 0, fmt.Sprintf("the most layers of store paths, instead of the spec's or %d; at most %d", layers.DefaultBudget, spec.MaxBudget))
	f.StringVar(&o.popularity, "popularity", "", "the popularity table, instead of the spec's: embedded, none, a file or an https URL")
	f.StringVar(&o.format, "format", "table", "table, json, dot for Graphviz, or html, a page that needs nothing else")
	for _, ofSpec := range []string{"file", "context", "image", "package", "nixpkgs", "platform"} {
		cmd.MarkFlagsMutuallyExclusive(ofSpec, "closure")
	}
	return cmd
}

// writers are the formats of plans.
var writers = map[string]func(io.Writer, []explain.Explanation) error{
	"table": explain.WriteTable,
	"json":  explain.WriteJSON,
	"dot":   explain.WriteDOT,
	"html":  explain.WriteHTML,
}

func plan(ctx context.Context, c *console, o planOptions) error {
	write, ok := writers[o.format]
	if !ok {
		return usagef("format %q: want table, json, dot or html", o.format)
	}
	if err := checkBudget(o.budget); err != nil {
		return err
	}
	plans, err := planAll(ctx, c, o)
	if err != nil {
		return err
	}
	return write(c.stdout, plans)
}

func planAll(ctx context.Context, c *console, o planOptions) ([]explain.Explanation, error) {
	if o.closure == "" {
		return planSpec(ctx, c, o)
	}
	e, err := explainFile(ctx, o.closure, o.budget, o.popularity)
	return []explain.Explanation{e}, err
}

func checkBudget(budget int) error {
	switch {
	case budget < 0:
		return usagef("budget %d: want at least 1", budget)
	case budget > spec.MaxBudget:
		return usagef("budget %d: want at most %d; %s", budget, spec.MaxBudget, spec.WhyMaxBudget)
	}
	return nil
}

// explainFile plans the closure in a file; a budget of 0 and an empty table are
// the defaults.
func explainFile(ctx context.Context, file string, budget int, source string) (explain.Explanation, error) {
	table, err := crawl.Load(ctx, cmp.Or(source, "embedded"), "")
	if err != nil {
		return explain.Explanation{}, err
	}
	closure, err := readClosure(ctx, file)
	if err != nil {
		return explain.Explanation{}, err
	}
	opts := layers.Options{Budget: cmp.Or(budget, layers.DefaultBudget), Counts: table.Counts}
	e := explain.Explain(closure, opts, layers.DefaultCompression)
	e.Title = file
	return e, nil
}

func planSpec(ctx context.Context, c *console, o planOptions) ([]explain.Explanation, error) {
	if err := o.asked.checkLinks(c); err != nil {
		return nil, err
	}
	w, errSpec := o.asked.want(ctx, c)
	request, errRequest := newRequest(o.asked, w)
	if err := errors.Join(errSpec, errRequest); err != nil {
		return nil, err
	}
	o.asked.tellClashes(ctx, c, w, request.orders)
	line, err := newLine(c)
	if err != nil {
		return nil, err
	}
	for i := range request.orders {
		o.replace(&request.orders[i].Layers)
	}
	tables, err := line.Tables(ctx, request.orders)
	if err != nil {
		return nil, o.asked.withPlaces(err, w)
	}
	wishes, err := line.Closures(ctx, w.Nixpkgs, request.orders)
	if err != nil {
		return nil, o.asked.withPlaces(err, w)
	}
	var plans []explain.Explanation
	for _, w := range wishes {
		for i, order := range request.orders {
			if order.Name != w.Image {
				continue
			}
			opts := layers.Options{Budget: order.Layers.Budget, Counts: tables[i].Counts}
			compression := layers.Compression{Algorithm: layers.Algorithm(order.Layers.Compression), Level: order.Layers.Level}
			p := explain.Explain(w.Closure, opts, compression)
			p.Image, p.Platform = w.Image, w.Platform.String()
			plans = append(plans, p)
		}
	}
	return plans, nil
}

// replace puts what the options say over what the spec says.
func (o planOptions) replace(l *spec.Layers) {
	if o.budget > 0 {
		l.Budget = o.budget
	}
	if o.popularity != "" {
		l.Popularity, l.PopularitySHA256 = o.popularity, ""
	}
}

// readClosure reads a file, a pipe that a shell made, or standard input. It ends
// with the context.
func readClosure(ctx context.Context, file string) (nix.Closure, error) {
	in, where := io.ReadCloser(os.Stdin), "standard input"
	if file != "-" {
		f, err := plainfile.OpenStream(file)
		if err != nil {
			return nix.Closure{}, usagef("closure: %w", err)
		}
		defer f.Close()
		in, where = f, file
	}
	closure, err := nix.ReadClosure(ctx, bounded.Patient(ctx, in))
	if err != nil && ctx.Err() == nil {
		err = usagef("%s: %w", where, err)
	}
	return closure, err
}
