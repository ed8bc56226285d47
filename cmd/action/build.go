package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/org/nixery-action/internal/actions"
	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/image"
	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/pipeline"
	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/spec"
)

// buildOptions are what a command line or a workflow's step asks for. On a
// command line the flags are the inputs of the same meaning.
type buildOptions struct {
	actions.Inputs
	step       bool // they are a step's inputs
	dryRun     bool
	insecure   []string
	installNix bool // if there is none
	format     outputFormat
	service    func(string) string // the environment that tells where the Actions cache is
}

func newBuild(c *console) *cobra.Command {
	var o buildOptions
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build the images of a spec and publish them",
		Long: "build makes the images of a spec: one for each architecture, and an index over\n" +
			"them. With --push they go to the spec's repositories, with --output to files;\n" +
			"with neither, only their digests are computed. Tags move last, when everything\n" +
			"else is there. What was published is printed on standard output.",
		Example: "  nixery-action build --push\n" +
			"  nixery-action build --tag ghcr.io/acme/toolbox:v1 --push\n" +
			"  nixery-action build --platform linux/amd64 --output type=docker,dest=toolbox.tar",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.GitHubToken = os.Getenv("GITHUB_TOKEN")
			o.service = os.Getenv
			_, err := build(cmd.Context(), c, o)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.File, "file", "f", "nixery.yaml", "the spec")
	f.StringArrayVar(&o.Images, "image", nil, "build only this image of the spec (repeatable)")
	f.StringArrayVar(&o.Tags, "tag", nil, "publish under this reference instead of the spec's repository and tags (repeatable)")
	f.StringSliceVar(&o.Platforms, "platform", nil, "build for these platforms instead of the spec's, as linux/amd64,linux/arm64")
	f.BoolVar(&o.Push, "push", false, "push to the registries that the tags name")
	f.StringArrayVar(&o.Outputs, "output", nil, "write to type=oci,dest=PATH, type=docker,dest=PATH or type=registry (repeatable)")
	f.StringArrayVar(&o.Labels, "label", nil, "set a label, KEY=VALUE (repeatable)")
	f.StringVar(&o.MetadataFile, "metadata-file", "", "write digests, tags and layers to this file, as JSON")
	f.StringVar((*string)(&o.format), "format", string(linesFormat), "print text, a line for each reference, or json, the whole report")
	f.BoolVar(&o.dryRun, "dry-run", false, "check spec, packages and destinations, and build nothing")
	f.StringArrayVar(&o.insecure, "insecure-registry", nil, "allow plain HTTP and any certificate for this host (repeatable)")
	f.StringArrayVar(&o.CacheFrom, "cache-from", nil, "learn from earlier runs: type=gha, type=local,src=PATH or type=registry,ref=REF (repeatable)")
	f.StringArrayVar(&o.CacheTo, "cache-to", nil, "tell later runs: type=gha, type=local,dest=PATH or type=registry,ref=REF, with mode=max the layers too (repeatable)")
	f.BoolVar(&o.NoCache, "no-cache", false, "neither learn nor tell")
	f.BoolVar(&o.Verify, "verify", false, "make everything anew, and publish it only if what --cache-from knows is the same")
	f.BoolVar(&o.installNix, "install-nix", false, "install Nix in /nix if it is needed and missing")
	return cmd
}

// build makes and publishes what o asks for, and prints it. In a dry run the
// report is nil.
func build(ctx context.Context, c *console, o buildOptions) (*pipeline.Report, error) {
	report, err := buildAll(ctx, c, o)
	return report, interrupted(ctx, err)
}

func buildAll(ctx context.Context, c *console, o buildOptions) (*pipeline.Report, error) {
	if err := errors.Join(c.hide(o.GitHubToken), o.format.check()); err != nil {
		return nil, err
	}
	s, images, err := load(o.File, o.Images)
	if err != nil {
		return nil, err
	}
	request, err := newRequest(o, images)
	if err != nil {
		return nil, withPlaces(err, s, images)
	}
	line, err := newLine(c)
	if err != nil {
		return nil, err
	}
	line.Runner = withNix(c, o, line.Runner)
	line.Spec = filepath.ToSlash(c.relative(o.File))
	if line.Cache, err = newCache(c, o); err != nil {
		return nil, err
	}
	line.Verify = o.Verify
	if err := checkMetadataFile(o.MetadataFile); err != nil {
		return nil, err
	}
	meter := &pipeline.Meter{}
	dests, err := request.destinations(c, o, meter)
	if err != nil {
		return nil, err
	}
	if o.dryRun {
		return nil, dryRun(ctx, c, line, s, request, dests)
	}
	report, err := line.Run(ctx, s.Nixpkgs, request.orders, dests, meter)
	if err != nil {
		return nil, withPlaces(err, s, request.images())
	}
	if o.MetadataFile != "" {
		if err := writeMetadata(o.MetadataFile, report); err != nil {
			return nil, err
		}
	}
	c.show(ctx, report)
	return report, o.format.print(request.resultsTo(c), report, len(dests) > 0)
}

// load reads the spec and chooses images.
func load(file string, names []string) (*spec.Spec, []spec.Image, error) {
	s, err := spec.Load(file, os.LookupEnv)
	if err != nil {
		return nil, nil, err
	}
	images, err := s.Select(names)
	return s, images, err
}

// newLine is the pipeline on this machine's Nix and store.
func newLine(c *console) (*pipeline.Line, error) {
	created, err := sourceDateEpoch(os.Getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return nil, err
	}
	line := &pipeline.Line{
		Store:   os.DirFS("/"),
		Created: created,
		TempDir: c.env.TempDir,
		Log:     c.log,
		Display: c.display,
		Cache:   cache.New(nil, nil, c.log),
	}
	// Nobody is there to answer: what git would ask for must be in a credential helper.
	line.Runner = nixbuild.Exec{Stderr: line.Hear, Moved: line.Follow, Env: []string{"GIT_TERMINAL_PROMPT=0"}}
	return line, nil
}

// sourceDateEpoch reads https://reproducible-builds.org/specs/source-date-epoch/.
func sourceDateEpoch(value string) (time.Time, error) {
	if value == "" {
		return image.Epoch, nil
	}
	seconds, err := strconv.ParseInt(value, 10, 64)
	created := time.Unix(seconds, 0).UTC()
	// A config's JSON has no way to write later years.
	if err != nil || seconds < 0 || created.Year() > 9999 {
		return time.Time{}, usagef("SOURCE_DATE_EPOCH is %q: want seconds since 1970, up to the year 9999", value)
	}
	return created, nil
}

// dryRun prints what would be built, and what would have its tags.
func dryRun(ctx context.Context, c *console, line *pipeline.Line, s *spec.Spec, r *request, dests []publish.Destination) error {
	wishes, err := line.Rehearse(ctx, s.Nixpkgs, r.orders, dests)
	if err != nil {
		return withPlaces(err, s, r.images())
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

// checkMetadataFile tells before anything is built whether the file can be
// written, and leaves it as it is.
func checkMetadataFile(file string) error {
	if file == "" {
		return nil
	}
	_, missing := os.Stat(file)
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o644)
	if err == nil {
		err = f.Close()
	}
	if err == nil && missing != nil {
		err = os.Remove(file)
	}
	if err != nil {
		return fmt.Errorf("metadata file %s cannot be written: %w", file, err)
	}
	return nil
}

// writeJSON replaces a file by a value's JSON.
func writeJSON(file string, value any) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}

// printReport prints a line for each reference, or for each image that has none.
func printReport(w io.Writer, r *pipeline.Report, published bool) error {
	var b strings.Builder
	for _, img := range r.Images {
		if len(img.Tags) == 0 || !published {
			fmt.Fprintf(&b, "%s %s\n", img.Name, img.Digest)
			continue
		}
		for _, tag := range img.Tags {
			fmt.Fprintf(&b, "%s@%s\n", tag, img.Digest)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
