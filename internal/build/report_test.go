package build

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/report"
)

// came counts layers by how they came.
func came(img report.ImageRun) map[report.LayerStatus]int {
	counts := map[report.LayerStatus]int{}
	for _, l := range img.Layers {
		counts[l.Status]++
	}
	return counts
}

func TestReportOfARun(t *testing.T) {
	w := newWorkshop(t)
	for _, c := range []struct {
		title string
		lose  bool // the registry
		order Target
		hit   bool
		what  report.ChangeKind
		came  map[report.LayerStatus]int
	}{
		{"first", false, target("box", both[:1], "lib"), false, report.First, map[report.LayerStatus]int{report.Uploaded: 3}},
		{"same", false, target("box", both[:1], "lib"), true, report.Same, map[report.LayerStatus]int{report.Existing: 3}},
		{"more", false, target("box", both[:1], "app"), false, report.Changed, map[report.LayerStatus]int{report.Existing: 2, report.Uploaded: 2}},
		{"both", false, target("box", both, "app"), false, report.Changed, map[report.LayerStatus]int{report.Existing: 4, report.Uploaded: 2}},
		{"lost", true, target("box", both, "app"), false, report.First, map[report.LayerStatus]int{report.Uploaded: 6}},
	} {
		t.Run(c.title, func(t *testing.T) {
			if c.lose {
				w.open()
			}
			w.run(&fakeNix{}, c.order)
			img := w.cost.Images[0]
			if w.cost.CacheHit != c.hit || img.Changes == nil || img.Changes.Change != c.what || img.Name != "box" {
				t.Errorf("cache hit %v, image %+v, changes %+v", w.cost.CacheHit, img, img.Changes)
			}
			if diff := cmp.Diff(c.came, came(img)); diff != "" {
				t.Errorf("layers (-want +got):\n%s", diff)
			}
			if img.Seconds <= 0 || img.Seconds > w.cost.Seconds {
				t.Errorf("the image took %v s of %v s", img.Seconds, w.cost.Seconds)
			}
		})
	}
}

func TestReportOfMountedLayers(t *testing.T) {
	w := newWorkshop(t)
	w.run(&fakeNix{}, target("one", both[:1], "app"), target("two", both[:1], "lib"))
	one, two := came(w.cost.Images[0]), came(w.cost.Images[1])
	if one[report.Uploaded] != 4 || two[report.Uploaded] != 1 || two[report.Mounted]+two[report.Existing] != 2 {
		t.Errorf("one %v, two %v", one, two)
	}
}

func TestReportOfBlobsFromTheCache(t *testing.T) {
	w := newWorkshop(t)
	w.mode = cache.Max
	w.run(&fakeNix{}, target("box", both[:1], "app"))
	w.open()
	w.run(&fakeNix{}, target("box", both[:1], "app"))
	if got := came(w.cost.Images[0]); !w.cost.CacheHit || got[report.Uploaded] != 4 {
		t.Errorf("cache hit %v, %v", w.cost.CacheHit, got)
	}
}

func TestReportWithoutARegistry(t *testing.T) {
	r, err := run(t, newBuilder(t, &fakeNix{}), newDestination(t), target("box", both[:1], "app"))
	if err != nil {
		t.Fatal(err)
	}
	if img := r.Run.Images[0]; img.Changes != nil || came(img)[report.Built] != 4 || r.Run.CacheHit {
		t.Errorf("%+v", r.Run)
	}
}

func TestReportOfChanges(t *testing.T) {
	w := newWorkshop(t)
	w.run(&fakeNix{}, target("box", both[:1], "lib"))
	w.run(&fakeNix{}, target("box", both, "app"))
	c := w.cost.Images[0].Changes
	if c.Previous != w.host+"/box:latest" || c.Old == "" || len(c.Platforms) != 2 {
		t.Fatalf("%+v", c)
	}
	amd := c.Platforms[0]
	if amd.Platform != "linux/amd64" || len(amd.Paths.Added) != 1 || !strings.Contains(fmt.Sprint(amd.Paths.Added), string(path("app-x86_64-linux"))) || amd.Layers.Shared.Layers != 2 {
		t.Errorf("%+v", amd)
	}
	if arm := c.Platforms[1]; arm.Layers.Old.Layers != 0 || len(arm.Paths.Added) != 3 {
		t.Errorf("%+v", arm)
	}
	w.run(&fakeNix{}, target("box", both[1:], "app"))
	if c := w.cost.Images[0].Changes; len(c.Platforms) != 2 || len(c.Platforms[0].Paths.Removed) != 3 {
		t.Errorf("a platform that is gone: %+v", c)
	}
}

// Everything is published by then: it cannot fail any more.
func TestChangesThatCannotBeReadFailNothing(t *testing.T) {
	for title, part := range map[string]string{"manifest": "/manifests/sha256", "configuration": "/blobs/sha256"} {
		t.Run(title, func(t *testing.T) {
			w := newWorkshop(t)
			first := w.run(&fakeNix{}, target("box", both[:1], "lib"))
			w.refuse = func(r *http.Request) bool { return r.Method == http.MethodGet && strings.Contains(r.URL.Path, part) }
			w.run(&fakeNix{}, target("box", both[:1], "app"))
			want := &report.Changes{Change: report.Unread, Previous: w.host + "/box:latest", Old: first.Images[0].Digest.String()}
			if diff := cmp.Diff(want, w.cost.Images[0].Changes); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestReportSizes(t *testing.T) {
	r, err := run(t, newBuilder(t, &fakeNix{}), newDestination(t), target("box", both[:1], "app"))
	if err != nil {
		t.Fatal(err)
	}
	p := r.Images[0].Platforms[0]
	var blobs, nars int64
	for _, l := range p.Layers {
		if len(l.NarSizes) != len(l.Paths) {
			t.Errorf("%d sizes of %d paths", len(l.NarSizes), len(l.Paths))
		}
		blobs += l.Size
		for _, n := range l.NarSizes {
			nars += n
		}
	}
	if p.Size != blobs || p.UnpackedSize != nars || nars == 0 {
		t.Errorf("%d of %d bytes, %d of %d unpacked", p.Size, blobs, p.UnpackedSize, nars)
	}
}

// These names are for workflows to read.
func TestReportJSON(t *testing.T) {
	w := newWorkshop(t)
	w.run(&fakeNix{}, target("box", both[:1], "lib"))
	r, err := w.try(&fakeNix{}, target("box", both[:1], "app"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		title string
		value any
		want  []string
	}{
		{"report", r, []string{"images", "run", "source"}},
		{"image", r.Images[0], []string{"digest", "manifestSize", "mediaType", "name", "platforms", "popularity", "repositories", "tags"}},
		{"platform", r.Images[0].Platforms[0], []string{"config", "digest", "layers", "platform", "size", "unpackedSize"}},
		{"layer", r.Images[0].Platforms[0].Layers[0], []string{"diffID", "digest", "key", "narSizes", "paths", "size"}},
		{"run", r.Run, []string{"cacheHit", "images", "published", "seconds"}},
		{"image of a run", r.Run.Images[0], []string{"changes", "layers", "name", "seconds", "tags"}},
		{"layer of a run", r.Run.Images[0].Layers[0], []string{"digest", "status"}},
		{"changes", r.Run.Images[0].Changes, []string{"change", "old", "platforms", "previous"}},
		{"short", r.WithoutLayers().Images[0].Platforms[0], []string{"config", "digest", "platform", "size", "unpackedSize"}},
		{"short run", r.WithoutLayers().Run.Images[0], []string{"changes", "name", "seconds", "tags"}},
		{"short changes", r.WithoutLayers().Run.Images[0].Changes, []string{"change", "old", "previous"}},
	} {
		if diff := cmp.Diff(c.want, keysOf(t, c.value)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.title, diff)
		}
	}
}

func keysOf(t *testing.T, value any) []string {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for k := range object {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func TestCameIsWhatCostMost(t *testing.T) {
	m, layer, digest := &Stats{}, &layers.Layer{}, v1.Hash{Algorithm: "sha256", Hex: "aa"}
	var repositories []name.Repository
	for i, c := range []struct {
		how  publish.How
		want report.LayerStatus
	}{{publish.Existing, report.Existing}, {publish.Uploaded, report.Uploaded}, {publish.Mounted, report.Uploaded}} {
		repository, err := name.NewRepository(fmt.Sprintf("example.com/box-%d", i))
		if err != nil {
			t.Fatal(err)
		}
		repositories = append(repositories, repository)
		m.AddLayer(publish.Upload{Repository: repository, Digest: digest, How: c.how})
		if got := m.came(layer, digest, repositories); got != c.want {
			t.Errorf("after %s: %s, want %s", c.how, got, c.want)
		}
	}
	if got := m.came(layer, digest, nil); got != report.Cached {
		t.Errorf("of no repository: %s", got)
	}
}
