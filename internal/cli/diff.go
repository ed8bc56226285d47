package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"github.com/org/nixery-action/internal/build"
	"github.com/org/nixery-action/internal/explain"
	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/registry"
	"github.com/org/nixery-action/internal/spec"
)

type diffOptions struct {
	platforms  []string
	format     string
	budget     int
	popularity string
	insecure   []string
}

func newDiff(c *console) *cobra.Command {
	var o diffOptions
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Tell what has changed between two images",
		Long: "diff tells what two images have in common and what not: layers, and the packages\n" +
			"that were updated, added or removed, with their versions and unpacked sizes. OLD\n" +
			"and NEW are references in a registry, or OCI layouts (DIR or DIR:TAG). Of images\n" +
			"only manifest and configuration are read, whose history tells the rest.\n\n" +
			"OLD and NEW may also be two closures, files that nix path-info --json -r printed:\n" +
			"they are compared in the layers that they would have. - is standard input.",
		Example: "  nixery-action diff ghcr.io/acme/toolbox:v1 ghcr.io/acme/toolbox:v2\n" +
			"  nixery-action diff --format markdown ghcr.io/acme/toolbox:latest ./layout >>\"$GITHUB_STEP_SUMMARY\"\n" +
			"  nix path-info --json -r ./result | nixery-action diff old.json -",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return interrupted(cmd.Context(), diff(cmd.Context(), c, o, args[0], args[1]))
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.platforms, "platform", nil, "compare images for these platforms only")
	f.StringVar(&o.format, "format", "table", "table, json, or markdown for a page of GitHub")
	f.IntVar(&o.budget, "budget", 0, fmt.Sprintf("for closures: the most layers of store paths, instead of %d; at most %d", layers.DefaultBudget, spec.MaxBudget))
	f.StringVar(&o.popularity, "popularity", "", "for closures: the popularity table: embedded (the default), none, a file or an https URL")
	f.StringArrayVar(&o.insecure, "insecure-registry", nil, "allow plain HTTP and any certificate for this host (repeatable)")
	return cmd
}

// diffWriters are the formats of differences.
var diffWriters = map[string]func(io.Writer, []explain.Difference) error{
	"table":    func(w io.Writer, all []explain.Difference) error { return explain.WriteDifferences(w, all, 0) },
	"json":     explain.WriteDifferencesJSON,
	"markdown": func(w io.Writer, all []explain.Difference) error { return explain.WriteDifferencesMarkdown(w, all, 0) },
}

// diff compares what two operands of the command line stand for.
func diff(ctx context.Context, c *console, o diffOptions, oldName, newName string) error {
	write, ok := diffWriters[o.format]
	if !ok {
		return usagef("format %q: want table, json or markdown", o.format)
	}
	if err := checkBudget(o.budget); err != nil {
		return err
	}
	before, err := newOperand(oldName)
	if err != nil {
		return err
	}
	after, err := newOperand(newName)
	if err != nil {
		return err
	}
	if (before.kind == inClosure) != (after.kind == inClosure) {
		return usagef("%s and %s: one is a closure and the other an image, whose layers are compressed; compare two of a kind", oldName, newName)
	}
	old, err := before.read(ctx, c, o)
	if err != nil {
		return err
	}
	new, err := after.read(ctx, c, o)
	if err != nil {
		return err
	}
	return write(c.stdout, explain.CompareAll(old, new))
}

// operand is one side of a comparison.
type operand struct {
	name string
	kind operandKind
	dir  string         // of a layout
	tag  string         // in a layout; empty if any will do
	ref  name.Reference // in a registry
}

type operandKind int

const (
	inClosure operandKind = iota
	inLayout
	inRegistry
)

// newOperand finds out what a word of the command line is: what is on the disk
// goes before what may be in a registry.
func newOperand(word string) (operand, error) {
	stat, err := os.Stat(word)
	switch {
	case word == "-" || err == nil && !stat.IsDir():
		return operand{name: word, kind: inClosure}, nil
	case err == nil:
		return operand{name: word, kind: inLayout, dir: word}, nil
	case !errors.Is(err, fs.ErrNotExist):
		return operand{}, usageError{err}
	}
	if i := strings.LastIndexByte(word, ':'); i > 0 {
		if stat, err := os.Stat(word[:i]); err == nil && stat.IsDir() {
			return operand{name: word, kind: inLayout, dir: word[:i], tag: word[i+1:]}, nil
		}
	}
	host, _, found := strings.Cut(word, "/")
	ref, err := name.ParseReference(word)
	if err != nil || !found || !strings.ContainsAny(host, ".:") && host != "localhost" || host == "." || host == ".." {
		return operand{}, usagef("%q is no file and no directory, and no reference with its registry, such as ghcr.io/acme/toolbox:v1", word)
	}
	return operand{name: word, kind: inRegistry, ref: ref}, nil
}

// read gets the contents of all platforms that are asked for.
func (p operand) read(ctx context.Context, c *console, o diffOptions) ([]explain.Contents, error) {
	if p.kind == inClosure {
		e, err := explainFile(ctx, p.name, o.budget, o.popularity)
		return []explain.Contents{e.Contents()}, err
	}
	all, err := p.readImages(ctx, c, o)
	if err != nil {
		return nil, err
	}
	return choose(all, o.platforms, p.name)
}

func (p operand) readImages(ctx context.Context, c *console, o diffOptions) ([]explain.Contents, error) {
	if p.kind == inLayout {
		return readLayout(p.dir, p.tag)
	}
	token := os.Getenv("GITHUB_TOKEN")
	if err := c.hide(token); err != nil {
		return nil, err
	}
	registry := publish.NewRegistry(publish.RegistryOptions{Client: registry.New(registry.Options{
		Keychain: c.keychain(token), Insecure: o.insecure, UserAgent: userAgent(), Logger: c.log,
	})})
	return build.Published(ctx, registry.Pull, p.ref)
}

// choose keeps the contents for some platforms, or all if none are named.
func choose(all []explain.Contents, platforms []string, name string) ([]explain.Contents, error) {
	if len(platforms) == 0 {
		return all, nil
	}
	var wanted []string
	for _, text := range platforms {
		platform, err := nix.ParsePlatform(strings.TrimSpace(text))
		if err != nil {
			return nil, usageError{err}
		}
		wanted = append(wanted, platform.String())
	}
	chosen := slices.DeleteFunc(slices.Clone(all), func(c explain.Contents) bool { return !slices.Contains(wanted, c.Platform) })
	if len(chosen) == 0 {
		return nil, usagef("%s has no image for %s", name, strings.Join(wanted, ", "))
	}
	return chosen, nil
}
