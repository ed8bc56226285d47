package bench

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/org/nixery-action/internal/layers/layerstest"
	"github.com/org/nixery-action/internal/nix"
)

// subject is an image whose layers are judged.
type subject struct {
	name    string
	closure nix.Closure
	graph   *graph // which path reaches which
}

// imageSet is images whose closures come from one set of store paths.
type imageSet struct {
	name   string
	images []*subject
	infos  []nix.PathInfo
}

// readImages reads what nix path-info prints, plain or gzipped: one image of all
// that nothing refers to. Or else {"images": {name: [roots]}, "paths": [info]}.
func readImages(t testing.TB, file string) *imageSet {
	t.Helper()
	text := readPlain(t, file)
	set := &imageSet{name: strings.TrimSuffix(strings.TrimSuffix(filepath.Base(file), ".gz"), ".json")}
	var many struct {
		Images map[string][]nix.StorePath `json:"images"`
		Paths  []nix.PathInfo             `json:"paths"`
	}
	if json.Unmarshal(text, &many) == nil && many.Images != nil {
		set.infos = many.Paths
		for _, name := range slices.Sorted(maps.Keys(many.Images)) {
			set.images = append(set.images, set.image(t, name, many.Images[name]))
		}
		return set
	}
	closure, err := nix.ReadClosure(t.Context(), bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	set.infos = closure.Paths
	set.images = []*subject{set.image(t, set.name, closure.Roots)}
	return set
}

func readPlain(t testing.TB, file string) []byte {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var plain io.Reader = bufio.NewReader(f)
	if magic, _ := plain.(*bufio.Reader).Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		if plain, err = gzip.NewReader(plain); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	text, err := io.ReadAll(plain)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return text
}

func (s *imageSet) image(t testing.TB, name string, roots []nix.StorePath) *subject {
	t.Helper()
	closure, err := nix.NewClosure(roots, s.infos)
	if err != nil {
		t.Fatalf("%s: %s: %v", s.name, name, err)
	}
	return &subject{name, closure, newGraph(closure)}
}

// merged is one image of all packages of the images for whose places has is true.
func (s *imageSet) merged(t testing.TB, name string, has func(i int) bool) *subject {
	t.Helper()
	var roots []nix.StorePath
	for i, image := range s.images {
		if has(i) {
			roots = append(roots, image.closure.Roots...)
		}
	}
	return s.image(t, name, roots)
}

// packages are the roots of the image that has most of them, at most n, evenly
// drawn: what people add to an image and remove again.
func (s *imageSet) packages(n int) []nix.StorePath {
	most := slices.MaxFunc(s.images, func(a, b *subject) int { return len(a.closure.Roots) - len(b.closure.Roots) })
	byName := slices.SortedFunc(slices.Values(most.closure.Roots), layerstest.ByName)
	return evenly(byName, n)
}

// evenly draws at most n of all.
func evenly[T any](all []T, n int) []T {
	if len(all) <= n {
		return all
	}
	drawn := make([]T, n)
	for i := range drawn {
		drawn[i] = all[i*len(all)/n]
	}
	return drawn
}
