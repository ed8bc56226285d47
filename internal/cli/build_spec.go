package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/org/nixery-action/internal/spec"
)

// wanted is a spec with what the options put in the place of its own words.
type wanted struct {
	*spec.Spec              // its File is "" if nothing of it stands in a file
	images     []spec.Image // those chosen
	said       []spec.Image // the same in the spec's own words
	source     spec.Nixpkgs // in the spec's own words
}

// want reads the spec, chooses images, and lets the options have their way.
func (o buildOptions) want(ctx context.Context, c *console) (wanted, error) {
	if err := checkContext(o.Context); err != nil {
		return wanted{}, o.blame("context", err)
	}
	packages, errPackages := spec.ParsePackages(o.Packages)
	w, errSpec := o.load(packages, o.variables(ctx, c))
	if err := errors.Join(o.blame("packages", errPackages), errSpec); err != nil {
		return w, err
	}
	var err error
	if w.said, err = w.Select(o.Images); err != nil {
		return w, o.blame("images", err)
	}
	for _, img := range w.said {
		if len(packages) > 0 {
			img.Packages, img.PackagePos = packages, nil
		}
		w.images = append(w.images, img)
	}
	return w, o.blame("nixpkgs", o.replaceSource(&w))
}

// load reads the spec, or makes one where there is none and there need not be.
func (o buildOptions) load(packages []string, lookup func(string) (string, bool)) (wanted, error) {
	if !o.withoutSpec() {
		if o.step && o.absent() && isEmpty(".") {
			return wanted{}, spec.Errors{{File: o.specFile(), Message: "there is no such file, nor any other; add a step with actions/checkout before this one"}}
		}
		s, err := spec.Load(o.specFile(), lookup)
		if err != nil {
			return wanted{}, err
		}
		return wanted{Spec: s, source: s.Nixpkgs}, nil
	}
	s := spec.Bare(packages, firstRepository(o.Tags))
	if len(o.Annotations) > 0 {
		s.Images[0].Format = spec.OCI // the other format has none, and was not asked for
	}
	return wanted{Spec: s, source: s.Nixpkgs}, nil
}

// withoutSpec tells whether there is no spec, and need not be.
func (o buildOptions) withoutSpec() bool { return o.File == "" && len(o.Packages) > 0 && o.absent() }

func (o buildOptions) absent() bool {
	_, err := os.Stat(o.specFile())
	return errors.Is(err, fs.ErrNotExist)
}

func isEmpty(directory string) bool {
	entries, err := os.ReadDir(directory)
	return err == nil && len(entries) == 0
}

// A word that could be a channel, and what channels and commits do look like.
var (
	looseName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*$`)
	realChannel = regexp.MustCompile(`^((nixos|nixpkgs)-.+|[0-9a-f]{40})$`)
)

func (o buildOptions) replaceSource(w *wanted) error {
	if o.Nixpkgs == "" {
		return nil
	}
	if source := o.Nixpkgs; looseName.MatchString(source) && !realChannel.MatchString(source) {
		if at, err := os.Stat(filepath.Join(o.Context, source)); err == nil && at.IsDir() {
			return fmt.Errorf("%q would be a channel of nixpkgs, and there is a directory of that name: write ./%[1]s for the directory", source)
		}
	}
	source, err := spec.ParseSource(o.Nixpkgs, o.Context)
	if err != nil {
		return err
	}
	w.Nixpkgs, err = w.Nixpkgs.Instead(source)
	return err
}

// bare tells whether there is no file.
func (w wanted) bare() bool { return w.Spec != nil && w.File == "" }

// elsewhere matches what docker takes for a context that is not on this machine.
var elsewhere = regexp.MustCompile(`^([a-z+]+://|git@)|\{\{`)

func checkContext(directory string) error {
	if elsewhere.MatchString(directory) {
		// It may hold a password, so it is not repeated.
		return errors.New("want a directory, found a URL: check the repository out, as actions/checkout does, and give its directory")
	}
	if directory == "" {
		return nil
	}
	at, err := os.Stat(directory)
	if err == nil && !at.IsDir() {
		err = errors.New("it is no directory")
	}
	if err != nil {
		return fmt.Errorf("%q cannot be read: %w; give the directory of the spec", directory, err)
	}
	return nil
}

// firstRepository is that of the first tag, or "".
func firstRepository(tags []string) string {
	if len(tags) == 0 {
		return ""
	}
	tag, err := name.NewTag(tags[0])
	if err != nil {
		return ""
	}
	return tag.Context().RepositoryStr()
}
