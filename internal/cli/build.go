package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/org/nixery-action/internal/build"
	"github.com/org/nixery-action/internal/logline"
	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/scratch"
)

func newBuild(c *console) *cobra.Command {
	var o buildOptions
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build the images of a spec and publish them",
		Long: "build makes the images of a spec: one for each architecture, and an index over\n" +
			"them. With --push they go to the spec's repositories, with --output to files;\n" +
			"with neither, only their digests are computed. Each --output has its own name=,\n" +
			"push= and push-by-digest=. Tags are set last, one after the other, when everything\n" +
			"else exists; after one that is refused, no other is set. What was published is\n" +
			"printed on standard output.\n\n" +
			"Nix and git get a minimal environment: the variable NIXERY_NIX_ENV lists the\n" +
			"names of further variables that they get.",
		Example: "  nixery-action build --push\n" +
			"  nixery-action build --tag ghcr.io/acme/toolbox:v1 --push\n" +
			"  nixery-action build --platform linux/amd64 --output type=docker,dest=toolbox.tar",
		Args: onlyFlags,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.GitHubToken = os.Getenv("GITHUB_TOKEN")
			_, err := runBuild(cmd.Context(), c, o)
			return err
		},
	}
	o.addFlags(cmd)
	return cmd
}

// runBuild makes and publishes what o asks for, and prints it. In a dry run the
// report is nil. With an error it says what was published before, if anything was.
func runBuild(ctx context.Context, c *console, o buildOptions) (*build.Report, error) {
	report, err := buildAll(ctx, c, o)
	return report, interrupted(ctx, err)
}

func buildAll(ctx context.Context, c *console, o buildOptions) (*build.Report, error) {
	for _, secret := range o.Secrets() {
		if err := c.hide(secret); err != nil {
			return nil, err
		}
	}
	if err := o.checkLinks(c); err != nil {
		return nil, err
	}
	w, errSpec := o.want(ctx, c)
	request, errRequest := newRequest(o, w)
	line, errLine := o.newLine(c)
	if err := errors.Join(o.wrong, o.format.check(), errSpec, errRequest, errLine, o.checkMetadataFile(w.images)); err != nil {
		return nil, o.withPlaces(err, w)
	}
	o.tellClashes(ctx, c, w, request.orders)
	line.Warn = func(warning build.Warning) { c.warn(w.File, warning) }
	for _, notice := range request.notices {
		c.log.Log(ctx, logline.Notice, notice)
	}
	meter := &build.Stats{}
	dests, err := request.destinations(c, o, meter)
	if err != nil {
		return nil, err
	}
	if o.dryRun {
		return nil, dryRun(ctx, c, line, o, w, request, dests)
	}
	report, err := line.Run(ctx, w.Nixpkgs, request.orders, dests, meter)
	if err != nil {
		err = o.withPlaces(err, w)
	}
	if report == nil {
		return nil, err
	}
	c.show(ctx, report)
	return report, errors.Join(err, o.keepMetadata(report), o.format.print(request.resultsTo(c), report))
}

// withPlaces says where in the spec, or in which input, what is wrong was asked for.
func (o buildOptions) withPlaces(err error, w wanted) error {
	if w.Spec == nil {
		return err
	}
	evaluation, ok := errors.AsType[*nixbuild.EvaluationError](err)
	if !ok || len(o.Packages) == 0 {
		return withPlaces(err, w.Spec, w.images)
	}
	var errs []error
	for _, failure := range evaluation.Joined() {
		errs = append(errs, o.blame("packages", errors.New(failure.String())))
	}
	return errors.Join(errs...)
}

// dryRun prints what would be built, and what would have its tags.
func dryRun(ctx context.Context, c *console, line *build.Builder, o buildOptions, w wanted, r *request, dests []build.Delivery) error {
	wishes, err := line.DryRun(ctx, w.Nixpkgs, r.orders, dests)
	if err != nil {
		return o.withPlaces(err, w)
	}
	var b strings.Builder
	for _, w := range wishes {
		for _, p := range w.Packages {
			fmt.Fprintf(&b, "%s %s %s %s\n", w.Image, w.Platform, p.Name, p.Out)
		}
	}
	_, err = io.WriteString(r.resultsTo(c), b.String())
	return err
}

// writeJSON replaces a file by a value's JSON.
func writeJSON(file string, value any) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return scratch.Replace(file, func(w io.Writer) error {
		_, err := w.Write(append(data, '\n'))
		return err
	})
}

// printReport prints a line for each reference that an image has now, for each
// repository that has it by digest only, or for an image that is in none.
func printReport(w io.Writer, r *build.Report) error {
	var b strings.Builder
	for _, img := range r.Images {
		for _, tag := range img.Tags {
			fmt.Fprintf(&b, "%s@%s\n", tag, img.Digest)
		}
		for _, repository := range img.Untagged() {
			fmt.Fprintf(&b, "%s@%s\n", repository, img.Digest)
		}
		if len(img.Tags)+len(img.Repositories) == 0 {
			fmt.Fprintf(&b, "%s %s\n", img.Name, img.Digest)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
