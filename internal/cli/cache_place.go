package cli

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/cache/dir"
	"github.com/org/nixery-action/internal/cache/oci"
	"github.com/org/nixery-action/internal/github"
)

// cachePlace is which cache a command is about, and how it is printed.
type cachePlace struct {
	repository string
	registry   string
	dir        string
	insecure   []string
	format     string
}

func newCacheCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "List what builds have kept in a cache, and remove what is of no more use",
	}
	cmd.AddCommand(newCacheList(c), newCachePrune(c))
	return cmd
}

func (p *cachePlace) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.repository, "repository", "", "the Actions cache of this repository, OWNER/NAME (default $GITHUB_REPOSITORY)")
	f.StringVar(&p.registry, "registry", "", "a cache in a registry, as in type=registry,ref=REF")
	f.StringVar(&p.dir, "dir", "", "a cache in a directory, as in type=local,dest=PATH")
	f.StringArrayVar(&p.insecure, "insecure-registry", nil, "allow plain HTTP and any certificate for this host (repeatable)")
	f.StringVar(&p.format, "format", "table", "print a table or json")
	cmd.MarkFlagsMutuallyExclusive("repository", "registry", "dir")
}

func (p *cachePlace) check() error {
	if p.format != "table" && p.format != "json" {
		return usagef("format %q: want table or json", p.format)
	}
	return nil
}

// open finds the cache, and hides the token that opens it.
func (p *cachePlace) open(c *console) (cache.Inventory, error) {
	token := os.Getenv("GITHUB_TOKEN")
	if err := c.hide(token); err != nil {
		return nil, err
	}
	switch {
	case p.dir != "":
		if at, err := os.Stat(p.dir); err != nil || !at.IsDir() {
			return nil, usagef("--dir %s: no such directory", p.dir)
		}
		return dir.New(p.dir), nil
	case p.registry != "":
		return p.openRegistry(c, token)
	}
	slug := p.repository
	if slug == "" {
		slug = os.Getenv("GITHUB_REPOSITORY")
	}
	if slug == "" {
		return nil, usagef("which cache? Give --repository OWNER/NAME, --registry REF or --dir PATH")
	}
	repository, err := github.Open(slug, os.Getenv("GITHUB_API_URL"), token)
	if err != nil {
		return nil, usageError{err}
	}
	return github.NewCaches(repository), nil
}

func (p *cachePlace) openRegistry(c *console, token string) (cache.Inventory, error) {
	if err := checkCacheRef(p.registry); err != nil {
		return nil, usageError{err}
	}
	registry, err := oci.New(p.registry, oci.Options{
		Keychain: c.keychain(token), UserAgent: userAgent(), Insecure: p.insecure,
	})
	if err != nil {
		return nil, usageError{err}
	}
	return registry, nil
}
