//go:build e2e

package cache_test

import (
	"fmt"
	"testing"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/cache/cachetest"
)

// TestDistributionContract runs the contract against docker's registry, each test in a repository of its own.
func TestDistributionContract(t *testing.T) {
	open := cache.OpenDistribution(t)
	number := 0
	for name, test := range cachetest.Contract {
		number++
		repository := fmt.Sprintf("acme/box%d:cache", number)
		t.Run(name, func(t *testing.T) {
			test(t, cachetest.Site{Open: func() cache.Store { return open(repository) }})
		})
	}
}
