package blobstore

import (
	"errors"
	"io"
	"strings"
	"testing"

	"gocloud.dev/blob"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/cache/cachetest"
)

// Ledgers are kept as every other store keeps them.
func TestCacheContract(t *testing.T) {
	for where, newSite := range sites {
		for name, test := range cachetest.Contract(cachetest.Can{}) {
			t.Run(where+"/"+name, func(t *testing.T) {
				s := newSite(t)
				test(t, cachetest.Site{Open: func() cache.Store { return s.open().Cache() }, Reserves: true})
			})
		}
	}
}

// Lanes that only a hand could make lead nowhere.
func TestHostileLanes(t *testing.T) {
	everywhere(t, func(t *testing.T, s site) {
		store := s.open().Cache()
		for _, lane := range []cache.Scope{"", "..", "../../etc", "a/b", "A", "a--b", "-a", "a\n"} {
			if _, err := store.Newest(t.Context(), lane); err == nil {
				t.Errorf("%q was looked for", lane)
			}
			if err := store.Save(t.Context(), cache.Name{Scope: lane, Serial: 1}, 0, nil); err == nil {
				t.Errorf("%q was saved", lane)
			}
		}
	})
}

// A server that runs for a year learns often.
func TestOldEntriesGo(t *testing.T) {
	everywhere(t, func(t *testing.T, s site) {
		d := s.open()
		c := d.Cache()
		for serial := range uint32(3 * kept) {
			saveEntry(t, c, cache.Name{Scope: "nixery1-a", Serial: serial + 1})
		}
		names := keysBelow(t, d, "cache/nixery1-a/")
		if len(names) != kept || names[len(names)-1] != "cache/nixery1-a/00000030" {
			t.Errorf("there are %d entries: %q", len(names), names)
		}
	})
}

func saveEntry(t *testing.T, c cache.Store, name cache.Name) {
	t.Helper()
	empty := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), nil }
	if err := c.Save(t.Context(), name, 0, empty); err != nil {
		t.Fatal(err)
	}
}

func keysBelow(t *testing.T, d *Store, prefix string) (keys []string) {
	t.Helper()
	objects := d.bucket.List(&blob.ListOptions{Prefix: prefix})
	for {
		object, err := objects.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return keys
		}
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, object.Key)
	}
}
