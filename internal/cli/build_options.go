package cli

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/org/nixery-action/internal/actions"
	"github.com/org/nixery-action/internal/spec"
)

// buildOptions are what a command line or a workflow's step asks for. On a
// command line the flags are the inputs of the same meaning.
type buildOptions struct {
	actions.Inputs
	step       bool  // they are a step's inputs
	wrong      error // what is wrong with them, as far as reading them showed
	dryRun     bool
	insecure   []string
	installNix bool // if there is none
	format     outputFormat
	// cacheKeyFile holds what CacheKey may say too.
	cacheKeyFile string
}

func (o *buildOptions) addFlags(cmd *cobra.Command) {
	o.addSpecFlags(cmd)
	f := cmd.Flags()
	f.StringArrayVar(&o.Tags, "tag", nil, "publish under this reference instead of the spec's repository and tags (repeatable)")
	f.BoolVar(&o.Push, "push", false, "push to the registries that the tags name")
	f.BoolVar(&o.Load, "load", false, "load into the docker daemon: short for --output type=docker")
	f.StringArrayVar(&o.Outputs, "output", nil, "write to type=oci,dest=PATH, type=docker,dest=PATH or type=registry (repeatable)")
	f.StringArrayVar(&o.Labels, "label", nil, "set a label, KEY=VALUE (repeatable)")
	f.StringArrayVar(&o.Annotations, "annotation", nil, "annotate manifests of OCI's format, KEY=VALUE, or index:KEY=VALUE for the index (repeatable)")
	f.StringVar(&o.MetadataFile, "metadata-file", "", "write digests, tags and layers to this file, as JSON")
	f.StringVar((*string)(&o.format), "format", string(linesFormat), "print text, a line for each reference, or json, the whole report")
	f.BoolVar(&o.dryRun, "dry-run", false, "check spec, packages and destinations, and build nothing")
	f.StringArrayVar(&o.insecure, "insecure-registry", nil, "allow plain HTTP and any certificate for this host (repeatable)")
	f.StringArrayVar(&o.CacheFrom, "cache-from", nil, "caches to import from: type=gha, type=local,src=PATH or type=registry,ref=REF (repeatable)")
	f.StringArrayVar(&o.CacheTo, "cache-to", nil, "caches to export to: type=gha, type=local,dest=PATH or type=registry,ref=REF, with mode=max the layers too (repeatable)")
	f.StringVar(&o.CacheKey, "cache-key", "", "accept only caches that were signed with this secret; it is visible to other users of the machine, so prefer $NIXERY_CACHE_KEY")
	f.StringVar(&o.cacheKeyFile, "cache-key-file", "", "the same, read from a file")
	f.BoolVar(&o.NoCache, "no-cache", false, "do not read or write any cache")
	f.BoolVar(&o.Verify, "verify", false, "build everything without the cache, and publish it only if it equals what --cache-from contains; advised for releases")
	f.BoolVar(&o.installNix, "install-nix", false, "install Nix in /nix if it is needed and missing")
}

// addSpecFlags adds the flags that say which images of what.
func (o *buildOptions) addSpecFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&o.File, "file", "f", "", "path to the spec (default nixery.yaml in --context)")
	f.StringVar(&o.Context, "context", ".", "directory of the spec, and base of relative --nixpkgs paths")
	f.StringArrayVar(&o.Images, "image", nil, "only this image of the spec (repeatable)")
	f.StringSliceVar(&o.Packages, "package", nil, "these packages instead of the spec's, or without a spec, as git,curl")
	f.StringVar(&o.Nixpkgs, "nixpkgs", "", "a channel, commit, ./path or flake instead of the spec's")
	f.StringSliceVar(&o.Platforms, "platform", nil, "for these platforms instead of the spec's, as linux/amd64,linux/arm64")
}

// specFile is where the spec is, or would be.
func (o buildOptions) specFile() string {
	if o.File != "" {
		return o.File
	}
	return filepath.Join(o.Context, "nixery.yaml")
}

// called is what users call an input: so in a step, a flag on a command line.
func (o buildOptions) called(input string) string {
	if o.step {
		return fmt.Sprintf("input %q", input)
	}
	return actions.FlagOf(input)
}

// blame says of which input err is. On a command line err says enough.
func (o buildOptions) blame(input string, err error) error {
	switch {
	case err == nil:
		return nil
	case !o.step:
		return usageError{err}
	}
	var errs []error
	for _, one := range apart(err) {
		errs = append(errs, &actions.InputError{Input: input, Problem: one.Error(), Cause: one})
	}
	return errors.Join(errs...)
}

// apart are the errors that err lists.
func apart(err error) []error {
	if listed, ok := errors.AsType[spec.Errors](err); ok {
		return listed.Unwrap()
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
