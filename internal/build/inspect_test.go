package build

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/report"
)

// lose has the registry answer that a blob does not exist, until it is sent again.
func (w *workshop) lose(blob v1.Hash) {
	lost := true
	w.refuse = func(r *http.Request) bool {
		if r.Method == http.MethodPut && strings.Contains(r.URL.RawQuery, blob.Hex) {
			lost = false
		}
		return lost && r.Method == http.MethodHead && strings.HasSuffix(r.URL.Path, "/blobs/"+blob.String())
	}
}

// blobsAsked counts the questions for blobs.
func (w *workshop) blobsAsked() int {
	n := 0
	for _, r := range w.requests {
		if strings.HasPrefix(r, "HEAD ") && strings.Contains(r, "/blobs/") {
			n++
		}
	}
	return n
}

// A registry is asked for blobs once a day, whatever runs there are between: all other runs cost what they did.
func TestRegistryIsInspectedOnceADay(t *testing.T) {
	w := newPinnedWorkshop(t)
	first := w.run(&fakeNix{}, target("box", both, "app"))
	blobs := map[string]bool{}
	for _, p := range first.Images[0].Platforms {
		blobs[p.Config.String()] = true
		for _, l := range p.Layers {
			blobs[l.Digest.String()] = true
		}
	}
	for _, step := range []struct {
		after time.Duration
		asked int
	}{
		{time.Hour, 0}, {22 * time.Hour, 0}, {time.Hour, len(blobs)}, {0, 0}, {23 * time.Hour, 0}, {time.Hour, len(blobs)},
		{-25 * time.Hour, len(blobs)}, // a clock that went back
		{time.Hour, 0}, {400 * 24 * time.Hour, len(blobs)},
	} {
		w.now = w.now.Add(step.after)
		nix := &fakeNix{}
		w.same("inspected", first, w.run(nix, target("box", both, "app")))
		if got := w.blobsAsked(); got != step.asked || w.sent() != 0 || len(nix.calls) != 0 {
			t.Errorf("at %s: %d questions for blobs, not %d; processes %q, requests %q", w.now, got, step.asked, nix.calls, w.requests)
		}
		if got := len(w.cost.Images[0].Inspections); (got == 2) != (step.asked > 0) {
			t.Errorf("at %s: %d inspections are reported", w.now, got)
		}
		if strings.Contains(w.log.String(), "all blobs of") != (step.asked > 0) {
			t.Errorf("at %s: the log is\n%s", w.now, &w.log)
		}
	}
}

// Whatever blob is lost behind a manifest that is still there is sent again: a layer, one that platforms share, the root
// layer or the configuration.
func TestLostBlobBehindAManifest(t *testing.T) {
	w := newPinnedWorkshop(t)
	first := w.run(&fakeNix{}, target("box", both, "app"))
	var blobs []v1.Hash
	for _, p := range first.Images[0].Platforms {
		blobs = append(blobs, p.Config)
		for _, l := range p.Layers {
			blobs = append(blobs, l.Digest)
		}
	}
	for _, lost := range blobs {
		w.lose(lost)
		w.now = w.now.Add(inspectEvery - time.Second)
		w.same("before it is due", first, w.run(&fakeNix{}, target("box", both, "app")))
		if w.sent() != 0 {
			t.Errorf("%s was sent before an inspection was due", lost)
		}
		w.now = w.now.Add(time.Second)
		w.same("with a lost blob", first, w.run(&fakeNix{}, target("box", both, "app")))
		if w.sent() != 1 {
			t.Errorf("%s is lost, and %d blobs were sent: %q", lost, w.sent(), w.requests)
		}
		if !strings.Contains(w.log.String(), "the registry has lost 1 of ") {
			t.Errorf("the log does not say what was lost:\n%s", &w.log)
		}
		found := 0
		for _, i := range w.cost.Images[0].Inspections {
			if slices.Contains(i.Lost, lost) {
				found++
			}
		}
		if found == 0 {
			t.Errorf("the report says %v", w.cost.Images[0].Inspections)
		}
		w.run(&fakeNix{}, target("box", both, "app"))
		if w.blobsAsked() != 0 {
			t.Errorf("what was sent again is asked for at once: %q", w.requests)
		}
	}
}

// An image that is not inspected does not hide that the blob it shares with another one, which must be pushed, is lost.
func TestLostBlobThatImagesShare(t *testing.T) {
	w := newPinnedWorkshop(t)
	first := w.run(&fakeNix{}, target("box", both, "app"))
	amd, arm := first.Images[0].Platforms[0], first.Images[0].Platforms[1]
	i := slices.IndexFunc(amd.Layers, func(l report.Layer) bool {
		return slices.ContainsFunc(arm.Layers, func(m report.Layer) bool { return m.Digest == l.Digest })
	})
	if i < 0 {
		t.Fatal("no layer is shared, so it proves nothing")
	}
	w.lose(amd.Layers[i].Digest)
	refuse := w.refuse
	w.refuse = func(r *http.Request) bool {
		return refuse(r) || r.Method == http.MethodHead && strings.HasSuffix(r.URL.Path, arm.Digest.String())
	}
	w.same("with a manifest and a blob lost", first, w.run(&fakeNix{}, target("box", both, "app")))
	if w.sent() != 1 {
		t.Errorf("%d blobs were sent: %q", w.sent(), w.requests)
	}
}

// With Verify a registry is always asked for blobs.
func TestVerifyInspects(t *testing.T) {
	w := newPinnedWorkshop(t)
	first := w.run(&fakeNix{}, target("box", both[:1], "app"))
	w.verify = true
	w.lose(first.Images[0].Platforms[0].Layers[0].Digest)
	w.same("verified", first, w.run(&fakeNix{}, target("box", both[:1], "app")))
	if w.sent() != 1 || !strings.Contains(w.log.String(), "the registry has lost 1 of ") {
		t.Errorf("%d blobs were sent: %q", w.sent(), w.requests)
	}
}

// A blob that comes from the cache needs no Nix to be sent again.
func TestLostBlobComesFromTheCache(t *testing.T) {
	w := newPinnedWorkshop(t)
	w.mode = cache.Max
	first := w.run(&fakeNix{}, target("box", both[:1], "app"))
	w.lose(first.Images[0].Platforms[0].Layers[0].Digest)
	w.now = w.now.Add(inspectEvery)
	nix := &fakeNix{}
	w.same("with a lost blob", first, w.run(nix, target("box", both[:1], "app")))
	if w.sent() != 1 || len(nix.calls) != 0 {
		t.Errorf("%d blobs were sent, processes %q", w.sent(), nix.calls)
	}
}

// A registry that answers neither yes nor no is not said to have lost anything, and the run goes on as without the answer.
func TestInspectionThatFails(t *testing.T) {
	w := newPinnedWorkshop(t)
	first := w.run(&fakeNix{}, target("box", both[:1], "app"))
	w.now = w.now.Add(inspectEvery)
	w.status = http.StatusForbidden
	asked := 0
	w.refuse = func(r *http.Request) bool {
		isBlob := r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/blobs/")
		if isBlob {
			asked++
		}
		return isBlob && asked <= 5
	}
	w.same("without answers", first, w.run(&fakeNix{}, target("box", both[:1], "app")))
	if strings.Contains(w.log.String(), "has lost") || w.sent() != 0 {
		t.Errorf("%d blobs were sent; the log is\n%s", w.sent(), &w.log)
	}
}
