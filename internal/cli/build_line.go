package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/org/nixery-action/internal/build"
	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/image"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/nixbuild"
)

// newLine is the pipeline with all that the options say of it.
func (o buildOptions) newLine(c *console) (*build.Builder, error) {
	line, err := newLine(c)
	known, errCache := newCache(c, o)
	if err := errors.Join(err, errCache); err != nil {
		return nil, err
	}
	line.Runner = withNix(c, o, line.Runner)
	line.Spec = filepath.ToSlash(c.relative(o.specFile()))
	line.Cache, line.Verify = known, o.Verify
	return line, nil
}

// newLine is the pipeline on this machine's Nix and store.
func newLine(c *console) (*build.Builder, error) {
	created, err := sourceDateEpoch(os.Getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return nil, err
	}
	c.sweep()
	line := &build.Builder{
		Store:   nixbuild.NewStore(nix.StoreDir),
		Created: created,
		TempDir: c.env.TempDir,
		Log:     c.log,
		Display: c.display,
		Cache:   cache.New(nil, nil, c.log),
	}
	nix, err := newNix(c)
	if err != nil {
		return nil, err
	}
	nix.Stderr, nix.Moved = line.NixLine, line.NixProgress
	line.Runner = nix
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
