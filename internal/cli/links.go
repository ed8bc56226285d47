package cli

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/scratch"
)

// followLinks names the variable that lets links of the checkout lead out of it.
const followLinks = "NIXERY_FOLLOW_LINKS"

// checkLinks refuses, in a workflow, a spec and places to write to that are in the checkout, and that a link of it leads elsewhere:
// whoever writes a pull request writes its links.
func (o buildOptions) checkLinks(c *console) error {
	var errs []error
	for _, text := range o.Outputs {
		output, err := publish.ParseOutput(text)
		if err != nil || output.Dest == "" || output.Dest == "-" {
			continue // reported where outputs are read
		}
		check := c.checkFile
		if output.Kind == publish.ToLayout && !output.Tar {
			check = c.checkDirectory
		}
		errs = append(errs, o.blame("outputs", check(output.Dest)))
	}
	for _, text := range o.CacheTo {
		if location, err := cache.ParseTo(text); err == nil && location.Path != "" {
			errs = append(errs, o.blame("cache-to", c.checkDirectory(location.Path)))
		}
	}
	errs = append(errs, o.blame("metadata-file", c.checkFile(o.MetadataFile)), o.blame("file", c.checkDirectory(o.specFile())))
	return errors.Join(errs...)
}

// checkFile refuses a file that will be replaced, for the directories that lead to it.
func (c *console) checkFile(file string) error {
	if file == "" {
		return nil
	}
	return c.checkDirectory(filepath.Dir(file))
}

// checkDirectory refuses what is reached through a link out of the checkout.
func (c *console) checkDirectory(path string) error {
	if c.env.Workspace == "" || os.Getenv(followLinks) == "true" {
		return nil
	}
	err := scratch.Inside(c.env.Workspace, path)
	if outside, ok := errors.AsType[*scratch.OutsideError](err); ok {
		return usagef("%w; name %s itself, or set %s to true if you trust the checkout's links", outside, outside.Target, followLinks)
	}
	return nil // what else is wrong with a path shows when it is used
}
