package cache

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nixbuild"
)

// testCache reads and writes one store, with blobs, and keeps its log.
type testCache struct {
	*Cache
	log *bytes.Buffer
}

func newTestCache(stores ...Store) *testCache {
	var places []Place
	for _, s := range stores {
		places = append(places, Place{Store: s, Mode: Max})
	}
	log := &bytes.Buffer{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	return &testCache{New(places, places, logger), log}
}

func (c *testCache) lines() []string {
	return strings.FieldsFunc(c.log.String(), func(r rune) bool { return r == '\n' })
}

// checkLog wants one line for each part, in order, and no secret in any.
func (c *testCache) checkLog(t *testing.T, parts ...string) {
	t.Helper()
	lines := c.lines()
	if len(lines) != len(parts) || len(c.Problems()) != len(parts) {
		t.Fatalf("the log has %d lines, and there are %d problems; want %d:\n%s", len(lines), len(c.Problems()), len(parts), c.log)
	}
	for i, part := range parts {
		if !strings.Contains(lines[i], part) {
			t.Errorf("line %q does not have %q", lines[i], part)
		}
	}
	for _, secret := range []string{testToken, testSig} {
		if strings.Contains(c.log.String(), secret) {
			t.Errorf("a secret is in the log:\n%s", c.log)
		}
	}
}

func hashOf(text string) v1.Hash { return digestOf([]byte(text)) }

func storePath(name string) nixbuild.StorePath {
	return nixbuild.StorePath(nixbuild.StoreDir + "/" + strings.Repeat("0", 32) + "-" + name)
}

// page is a page with one layer, one image, and a closure of two paths.
func page(name string) Page {
	p := NewPage()
	p.Layers[layers.Key(hashOf(name).Hex)] = layers.Record{DiffID: hashOf(name + " tar"), Digest: hashOf(name + " blob"), Size: int64(len(name))}
	p.Images[name] = hashOf(name + " image")
	lib, app := storePath("lib-"+name), storePath("app-"+name)
	p.Paths[lib] = nixbuild.PathInfo{Path: lib, NarHash: hashOf("lib"), NarSize: 1}
	p.Paths[app] = nixbuild.PathInfo{Path: app, NarHash: hashOf("app"), NarSize: 2, References: []nixbuild.StorePath{lib}}
	return p
}

// checkKnows wants all that the pages of these names say.
func checkKnows(t *testing.T, l *Ledger, names ...string) {
	t.Helper()
	for _, name := range names {
		want := page(name)
		for key, record := range want.Layers {
			if got, ok := l.Layer(key); !ok || got != record {
				t.Errorf("layer of page %s is %v, %v", name, got, ok)
			}
		}
		if got, ok := l.Image(name); !ok || got != want.Images[name] {
			t.Errorf("image of page %s is %v, %v", name, got, ok)
		}
		closure, ok := l.Closure([]nixbuild.StorePath{storePath("app-" + name)})
		if !ok || len(closure.Paths) != 2 {
			t.Errorf("closure of page %s is %v, %v", name, closure, ok)
		}
	}
}
