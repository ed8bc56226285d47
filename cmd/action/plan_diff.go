package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/org/nixery-action/internal/explain"
	"github.com/org/nixery-action/internal/image"
	"github.com/org/nixery-action/internal/publish"
)

// diff compares what two operands of the command line stand for.
func diff(ctx context.Context, c *console, o planOptions, oldName, newName string) error {
	if o.format != "table" && o.format != "json" {
		return usagef("format %q: want table or json with --diff", o.format)
	}
	if o.budget < 0 {
		return usagef("budget %d: want at least 1", o.budget)
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
	differences := explain.CompareAll(old, new)
	if o.format == "json" {
		return explain.WriteDifferencesJSON(c.stdout, differences)
	}
	return explain.WriteDifferences(c.stdout, differences, 0)
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
		return operand{}, usagef("%q is no file and no folder, and no reference with its registry, such as ghcr.io/acme/toolbox:v1", word)
	}
	return operand{name: word, kind: inRegistry, ref: ref}, nil
}

// read gets the contents of all platforms that are asked for.
func (p operand) read(ctx context.Context, c *console, o planOptions) ([]explain.Contents, error) {
	if p.kind == inClosure {
		e, err := o.explainFile(ctx, p.name)
		return []explain.Contents{e.Contents()}, err
	}
	all, err := p.readImages(ctx, c, o)
	if err != nil {
		return nil, err
	}
	return choose(all, o.platforms, p.name)
}

func (p operand) readImages(ctx context.Context, c *console, o planOptions) ([]explain.Contents, error) {
	if p.kind == inLayout {
		return readLayout(p.dir, p.tag)
	}
	token := os.Getenv("GITHUB_TOKEN")
	if err := c.hide(token); err != nil {
		return nil, err
	}
	registry := publish.NewRegistry(publish.RegistryOptions{
		Keychain: c.keychain(token), Insecure: o.insecure, UserAgent: "nixery-action/" + version, Logger: c.log,
	})
	return readReference(ctx, registry, p.ref)
}

// choose keeps the contents for some platforms, or all if none are named.
func choose(all []explain.Contents, platforms []string, name string) ([]explain.Contents, error) {
	if len(platforms) == 0 {
		return all, nil
	}
	var wanted []string
	for _, text := range platforms {
		platform, err := image.ParsePlatform(strings.TrimSpace(text))
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
