package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/cache/actions"
	"github.com/org/nixery-action/internal/cache/oci"
	"github.com/org/nixery-action/internal/cache/stores"
)

// newCache is where a build learns from earlier runs and tells later ones.
func newCache(c *console, o buildOptions) (*cache.Cache, error) {
	if o.Verify && (o.NoCache || len(o.CacheFrom) == 0) {
		return nil, o.blame("verify", errors.New("to verify is to compare with what earlier runs learnt: it needs cache-from, and no no-cache"))
	}
	key, err := o.cacheKey(c)
	if err != nil {
		return nil, err
	}
	if !key.IsZero() && (o.NoCache || len(o.CacheFrom)+len(o.CacheTo) == 0) {
		c.log.Warn("the key of the cache has no effect, since no cache is used", "input", o.called("cache-key"))
	}
	if o.NoCache {
		return cache.New(nil, nil, c.log), nil
	}
	from, errFrom := locations(o.CacheFrom, cache.ParseFrom)
	to, errTo := locations(o.CacheTo, cache.ParseTo)
	if err := errors.Join(o.blame("cache-from", errFrom), o.blame("cache-to", errTo)); err != nil {
		return nil, err
	}
	if err := c.hide(os.Getenv("ACTIONS_RUNTIME_TOKEN")); err != nil {
		return nil, err
	}
	read, write, err := stores.Places(from, to, stores.Options{
		Getenv:  os.Getenv,
		Actions: actions.Options{UserAgent: userAgent()},
		Registry: oci.Options{
			Keychain:  c.keychain(o.GitHubToken),
			UserAgent: userAgent(),
			Insecure:  o.insecure,
		},
	})
	if err != nil {
		return nil, usageError{err}
	}
	return cache.New(read, write, c.log).WithKey(key), nil
}

func locations(texts []string, parse func(string) (cache.Location, error)) ([]cache.Location, error) {
	var all []cache.Location
	var errs []error
	for _, text := range texts {
		location, err := parse(text)
		errs = append(errs, err, checkCacheRef(location.Ref))
		all = append(all, location)
	}
	return all, errors.Join(errs...)
}

// checkCacheRef refuses a reference that docker would take for an image of its own library. Others are the cache's to judge.
func checkCacheRef(ref string) error {
	tag, err := name.NewTag(ref)
	if err != nil {
		return nil
	}
	if err := checkPlaces([]name.Tag{tag}, true); err != nil {
		return fmt.Errorf("cache in a registry: %w", err)
	}
	return nil
}

func userAgent() string { return "nixery-action/" + version }
