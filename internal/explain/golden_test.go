package explain

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/popularity"
)

var update = flag.Bool("update", false, "accept the present output as golden")

// storePath makes a store path with a hash of n and a name.
func storePath(n int, name string) nix.StorePath {
	return nix.StorePath(fmt.Sprintf("%s/%032d-%s", nix.StoreDir, n, name))
}

// small is the closure that the Example of package layers draws.
func small() nix.Closure {
	paths := map[string]nix.StorePath{}
	for i, name := range []string{"app-1.0", "python3-3.11.2", "zlib-1.3", "expat-2.6", "bash-5.2", "glibc-2.36"} {
		paths[name] = storePath(i, name)
	}
	info := func(name string, size int64, references ...string) nix.PathInfo {
		i := nix.PathInfo{Path: paths[name], NarSize: size}
		i.NarHash.Algorithm, i.NarHash.Hex = "sha256", fmt.Sprintf("%064d", size)
		for _, r := range references {
			i.References = append(i.References, paths[r])
		}
		return i
	}
	return nix.Closure{Roots: []nix.StorePath{paths["app-1.0"]}, Paths: []nix.PathInfo{
		info("app-1.0", 1e6, "python3-3.11.2", "bash-5.2"),
		info("python3-3.11.2", 90e6, "zlib-1.3", "expat-2.6", "glibc-2.36"),
		info("zlib-1.3", 1e5, "glibc-2.36"),
		info("expat-2.6", 2e5, "glibc-2.36"),
		info("bash-5.2", 15e5, "glibc-2.36"),
		info("glibc-2.36", 30e6),
	}}
}

func big(t testing.TB) nix.Closure {
	t.Helper()
	f, err := os.Open("../../testdata/closures/debpkgs-big-bookworm-amd64.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	closure, err := nix.ReadClosure(t.Context(), zr)
	if err != nil {
		t.Fatal(err)
	}
	return closure
}

func explained(closure nix.Closure, budget int) Explanation {
	return Explain(closure, layers.Options{Budget: budget, Counts: popularity.Embedded()}, layers.DefaultCompression)
}

// TestGolden holds what is written of two closures. Run with -update to accept.
func TestGolden(t *testing.T) {
	one := explained(small(), 4)
	one.Image, one.Platform = "toolbox", "linux/amd64"
	for name, plans := range map[string][]Explanation{
		"small": {one}, "big-20": {explained(big(t), 20)}, "two": {one, explained(small(), 94)}, "none": {explained(nix.Closure{}, 4)},
	} {
		for format, write := range map[string]func(io.Writer, []Explanation) error{"txt": WriteTable, "json": WriteJSON, "dot": WriteDOT} {
			var got bytes.Buffer
			if err := write(&got, plans); err != nil {
				t.Fatal(err)
			}
			golden(t, name+"."+format, got.Bytes())
		}
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := "testdata/" + name
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s changed (-want +got):\n%s", name, diff)
	}
}

// The keys that were there first keep their places: others only come behind.
func TestJSONKeys(t *testing.T) {
	var b bytes.Buffer
	if err := WriteJSON(&b, []Explanation{explained(small(), 4)}); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Layers []struct {
			Paths []nix.StorePath
			Size  int64
			Key   layers.Key
			Share float64
		}
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	var share float64
	for i, g := range layers.Plan(small(), layers.Options{Budget: 4, Counts: popularity.Embedded()}) {
		if got.Layers[i].Size != g.Size() || got.Layers[i].Key != layers.KeyOf(g, layers.DefaultCompression) || len(got.Layers[i].Paths) != len(g) {
			t.Errorf("layer %d is %v, want %v", i, got.Layers[i], g)
		}
		share += got.Layers[i].Share
	}
	if share < 0.999 || share > 1.001 {
		t.Errorf("the shares add up to %v", share)
	}
}

func TestNoKeyWithoutHashes(t *testing.T) {
	closure := small()
	closure.Paths[2].NarHash.Hex = ""
	for _, layer := range explained(closure, 94).Layers {
		if (layer.Key == "") != (layer.Paths[0] == closure.Paths[2].Path) {
			t.Errorf("%s has the key %q", layer.Paths, layer.Key)
		}
	}
}
