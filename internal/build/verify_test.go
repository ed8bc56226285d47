package build

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/publish"
)

// published lists the requests that change more than Check does: those for
// blobs, manifests and tags.
func (w *workshop) published() (requests []string) {
	for _, r := range w.requests {
		if strings.HasPrefix(r, "PATCH ") || strings.HasPrefix(r, "PUT ") {
			requests = append(requests, r)
		}
	}
	return requests
}

func box() Target { return target("box", both, "app") }

func TestVerifyMakesEverythingAnew(t *testing.T) {
	w := newWorkshop(t)
	first := w.run(&fakeNix{}, box())
	w.verify = true
	nix := &fakeNix{}
	w.same("verified", first, w.run(nix, box()))
	if !slices.Contains(nix.calls, "nix-build") {
		t.Errorf("it believed the cache: %v", nix.calls)
	}
	if w.sent() != 0 {
		t.Errorf("the registry had all of it: %q", w.requests)
	}
	if log := w.log.String(); !strings.Contains(log, "verifying: 8 layers and 2 closures are what the cache says") {
		t.Errorf("the log is\n%s", log)
	}
}

func TestVerifyWithoutRecords(t *testing.T) {
	w := newWorkshop(t)
	w.verify = true
	first := w.run(&fakeNix{}, box())
	if log := w.log.String(); !strings.Contains(log, "level=WARN msg=\"there was nothing in the cache to verify\"") {
		t.Errorf("the log is\n%s", log)
	}
	w.same("verified", first, w.run(&fakeNix{}, box()))
	if log := w.log.String(); strings.Contains(log, "WARN") {
		t.Errorf("what was verified first is not known: the log is\n%s", log)
	}
}

func TestVerifyFindsEveryLie(t *testing.T) {
	for name, c := range map[string]struct {
		lie  func(*cache.Snapshot)
		want []string
	}{
		"layers": {func(p *cache.Snapshot) {
			for key, record := range p.Layers {
				record.Digest.Hex = strings.Repeat("0", 64)
				p.Layers[key] = record
			}
		}, []string{"its bytes are sha256:", "but its record says sha256:00000", "; it is of app-x86_64-linux", "; it is of lib", "; it is of cacert"}},
		"a size": {func(p *cache.Snapshot) {
			for key, record := range p.Layers {
				record.Size++
				p.Layers[key] = record
			}
		}, []string{"image box for linux/amd64: layer "}},
		"a hash": {func(p *cache.Snapshot) {
			info := p.Paths[path("lib")]
			info.NarHash.Hex = strings.Repeat("f", 64)
			p.Paths[path("lib")] = info
		}, []string{string(path("lib")) + ": its NAR hash is sha256:0", "but the cache says sha256:fff"}},
		"a reference too few": {func(p *cache.Snapshot) {
			info := p.Paths[path("app-x86_64-linux")]
			info.References = nil
			p.Paths[info.Path] = info
		}, []string{string(path("lib")) + " is in the closure, but not in the cache's", "1 references), but the cache says", ", 0)"}},
		"a reference too many": {func(p *cache.Snapshot) {
			extra := nix.PathInfo{Path: path("app-aarch64-linux"), NarHash: p.Paths[path("lib")].NarHash, NarSize: 1}
			p.Paths[extra.Path] = extra
			info := p.Paths[path("lib")]
			info.References = []nix.StorePath{extra.Path}
			p.Paths[info.Path] = info
		}, []string{string(path("app-aarch64-linux")) + " is in the cache's closure, but not in the real one"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorkshop(t)
			w.run(&fakeNix{}, box())
			w.poison(box(), c.lie)
			w.open() // so that all would have to be sent
			w.verify = true
			_, err := w.try(&fakeNix{}, box())
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range append(c.want, "nothing was published") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "arm64") {
				t.Errorf("the other platform's records are right: %v", err)
			}
			if got := w.published(); len(got) != 0 {
				t.Errorf("it published: %q", got)
			}
		})
	}
}

func TestLogOfLayers(t *testing.T) {
	w := newWorkshop(t)
	w.run(&fakeNix{}, target("one", both, "app"), target("two", both[:1], "lib"))
	for _, want := range []string{
		`msg="layer uploaded" digest=sha256:`, "the cache has no earlier run of this spec",
		`msg="image one: 6 layers uploaded, 2.0 kB; 0 B saved"`, // two's are there, as this registry has one store of blobs
		`msg="image two: 1 layers uploaded, 427 B; 2 were there, 553 B; 553 B saved"`,
	} {
		if !strings.Contains(w.log.String(), want) {
			t.Errorf("no %q in\n%s", want, w.log.String())
		}
	}
	w.run(&fakeNix{}, target("one", both, "app"), target("two", both[:1], "lib"))
	log := w.log.String()
	for _, want := range []string{"publishing: 0 layers uploaded, 0 B; 9 were there", `msg="image two: 0 layers uploaded, 0 B; 3 were there, `, " saved", `msg="layer existing" digest=sha256:`} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in\n%s", want, log)
		}
	}
	if strings.Contains(log, "has no earlier run") || strings.Contains(log, "layer uploaded\"") {
		t.Errorf("the log is\n%s", log)
	}
}

func TestLogSaysWhyNixRuns(t *testing.T) {
	w := newWorkshop(t)
	w.run(&fakeNix{}, target("box", both[:1], "lib"))
	w.run(&fakeNix{}, target("box", both[:1], "app"))
	if log := w.log.String(); !strings.Contains(log, "some packages differ from those of the last cached run") {
		t.Errorf("the log is\n%s", log)
	}
	w.noCache = true
	w.run(&fakeNix{}, target("box", both[:1], "lib"))
	if log := w.log.String(); strings.Contains(log, "cache") {
		t.Errorf("of a run without a cache, the log is\n%s", log)
	}
}

func TestTally(t *testing.T) {
	var all layerTotals
	for how, size := range map[publish.How]int64{publish.Uploaded: 1000, publish.Mounted: 20, publish.Existing: 3} {
		all.add(layerStats{publish.Upload{How: how, Size: size}, time.Duration(size) * time.Second})
	}
	want := "1 layers uploaded, 1.0 kB; 1 mounted, 20 B; 1 were there, 3 B"
	if got := all.String(); got != want || all.saved() != 23 || all.after != 1000*time.Second {
		t.Errorf("%s, %d saved after %s", got, all.saved(), all.after)
	}
}
