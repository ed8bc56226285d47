package dir

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/cache/cachetest"
)

func dirSite(t *testing.T) cachetest.Site {
	dir := filepath.Join(t.TempDir(), "cache")
	return cachetest.Site{Reserves: true, Open: func() cache.Store { return New(dir) }, Tamper: func(name string, change func([]byte) []byte) {
		path := filepath.Join(dir, name)
		content, err := os.ReadFile(path)
		if err := errors.Join(err, os.WriteFile(path, change(content), 0o644)); err != nil {
			t.Error(err)
		}
	}}
}

// TestContract is what every store must do.
func TestContract(t *testing.T) {
	for name, test := range cachetest.Contract(cachetest.Can{Stream: true, Tamper: true, List: true}) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, dirSite(t)) })
		})
	}
}
