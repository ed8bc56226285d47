package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/plainfile"
)

// cacheKeyVariable holds the key on a command line, where arguments are seen by
// all processes of the machine.
const cacheKeyVariable = "NIXERY_CACHE_KEY"

// largestCacheKey is in bytes: more is not a key, but a file given by mistake.
const largestCacheKey = 4 << 10

// cacheKey returns the key that ledgers of the cache are marked with, or the zero
// Key if there is none. The value is hidden before anything is done with it.
func (o buildOptions) cacheKey(c *console) (cache.Key, error) {
	secret, where := o.CacheKey, "--cache-key"
	switch {
	case secret != "" && o.cacheKeyFile != "":
		return cache.Key{}, usagef("--cache-key and --cache-key-file are two keys: give one of them")
	case o.cacheKeyFile != "":
		var err error
		where = "--cache-key-file"
		if secret, err = readCacheKey(o.cacheKeyFile); err != nil {
			return cache.Key{}, usageError{fmt.Errorf("--cache-key-file: %w", err)}
		}
	case secret == "":
		secret, where = os.Getenv(cacheKeyVariable), "$"+cacheKeyVariable
	}
	if secret == "" {
		return cache.Key{}, nil
	}
	if err := c.hide(secret); err != nil {
		return cache.Key{}, err
	}
	key, err := cache.NewKey(secret, os.Getenv("GITHUB_REPOSITORY"))
	if err != nil && !o.step {
		err = fmt.Errorf("%s: %w", where, err)
	}
	return key, o.blame("cache-key", err)
}

var errNoKey = errors.New("it is empty, and so holds no key")

// readCacheKey reads a file that holds nothing but a key. A file without
// contents is an error: an empty key is none, and that is said otherwise.
func readCacheKey(file string) (string, error) {
	text, err := plainfile.ReadFile(file, largestCacheKey)
	if err != nil {
		return "", err
	}
	if len(text) == 0 {
		return "", fmt.Errorf("%s: %w", file, errNoKey)
	}
	return string(text), nil
}

// serverCacheKey is the key of a registry, which is in no repository.
func serverCacheKey(c *console, file string) (cache.Key, error) {
	return buildOptions{cacheKeyFile: file}.cacheKey(c)
}
