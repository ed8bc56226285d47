package cache_test

import (
	"testing"
	"testing/synctest"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/cache/cachetest"
)

// TestContract is what every store must do.
func TestContract(t *testing.T) {
	for store, newSite := range cache.Sites() {
		for name, test := range cachetest.Contract {
			t.Run(store+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					open, reserves := newSite(t)
					test(t, cachetest.Site{Open: open, Reserves: reserves})
				})
			})
		}
	}
}
