package build

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/publish"
	"github.com/org/nixery-action/internal/report"
	"github.com/org/nixery-action/internal/spec"
)

// deliver runs two images to a file and a registry, in which each has a tag of its own and latest.
func (w *workshop) deliver(file *destination) (*Report, error) {
	stats := &Stats{}
	targets := []Target{target("one", both[:1], "app"), target("two", both[:1], "lib")}
	to := w.destinations(stats, targets...)
	for i := range to[0].Names {
		tags := &to[0].Names[i].Tags
		*tags = append(*tags, (*tags)[0].Context().Tag("v1"))
	}
	if file != nil {
		to = append([]Delivery{{Destination: file, Kind: report.ToLayout, Path: "out"}}, to...)
	}
	return newBuilder(w.t, &fakeNix{}).Run(w.t.Context(), spec.Nixpkgs{Path: "/pkgs"}, targets, to, stats)
}

// A tag that is refused ends the run, with a report of what all tags of all images are now.
func TestATagThatIsRefusedIsReported(t *testing.T) {
	w := newWorkshop(t)
	w.refuse = func(r *http.Request) bool {
		return r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/two/manifests/v1")
	}
	r, err := w.deliver(nil)
	if !errors.As(err, new(*publish.TagsError)) || r == nil || !r.Run.Incomplete {
		t.Fatalf("got %v, %v", r, err)
	}
	type outcomes map[string]string
	got := outcomes{}
	for i, img := range r.Run.Images {
		for _, tag := range img.Tags {
			got[strings.TrimPrefix(tag.Tag, w.host+"/")] = tag.Outcome
			if (tag.Outcome == "refused") != (tag.Error != "") {
				t.Errorf("%+v", tag)
			}
		}
		if len(r.Images[i].Repositories) != 1 {
			t.Errorf("image %d is said to be in %v", i, r.Images[i].Repositories)
		}
	}
	if diff := cmp.Diff(outcomes{"one:v1": "created", "two:v1": "refused", "one:latest": "untried", "two:latest": "untried"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([][]string{{w.host + "/one:v1"}, {}}, [][]string{r.Images[0].Tags, r.Images[1].Tags}); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}

// A run that fails is not kept for later ones.
func TestNothingIsLearntIfATagIsRefused(t *testing.T) {
	w := newWorkshop(t)
	w.refuse = func(r *http.Request) bool {
		return r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/box/manifests/latest")
	}
	if r, err := w.try(&fakeNix{}, target("box", both[:1], "app")); err == nil || r == nil {
		t.Fatalf("got %v, %v", r, err)
	}
	builder := newBuilder(t, &fakeNix{})
	builder.Cache = cache.New([]cache.Place{{Store: w.store}}, nil, builder.Log)
	j := &job{Builder: builder, targets: []Target{target("box", both[:1], "app")}}
	platforms, err := platformsOf(j.targets)
	if err != nil {
		t.Fatal(err)
	}
	if known := j.loadCached(t.Context(), platforms); !known.incomplete() {
		t.Errorf("%v is known", known)
	}
}

// What was written before a registry failed is reported, and so is that nothing else was.
func TestAFileThatWasWrittenIsReported(t *testing.T) {
	w := newWorkshop(t)
	w.refuse = func(r *http.Request) bool {
		return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/sha256:")
	}
	r, err := w.deliver(newDestination(t))
	if err == nil || r == nil || !r.Run.Incomplete {
		t.Fatalf("got %v, %v", r, err)
	}
	if diff := cmp.Diff([]report.Published{{Kind: report.ToLayout, Path: "out", Names: []string{}}}, r.Run.Published); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for i, img := range r.Images {
		if len(img.Tags)+len(img.Repositories) != 0 || r.Run.Images[i].Tags[0].Outcome != "untried" {
			t.Errorf("%v, %v", img, r.Run.Images[i].Tags)
		}
	}
}

func TestNothingPublishedIsNoReport(t *testing.T) {
	w := newWorkshop(t)
	w.refuse = func(r *http.Request) bool {
		return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/sha256:")
	}
	if r, err := w.deliver(nil); err == nil || r != nil {
		t.Errorf("got %v, %v", r, err)
	}
}

// An image that is in a file under a name, and in a registry by digest, has no tag.
func TestTagsAreThoseThatWereSet(t *testing.T) {
	w := newWorkshop(t)
	stats := &Stats{}
	box := target("box", both[:1], "app")
	to := w.destinations(stats, box)
	tag := to[0].Names[0].Tags[0]
	to[0].Names = []Names{{Repositories: []name.Repository{tag.Context()}}}
	to = append(to, Delivery{Destination: newDestination(t), Kind: report.ToArchive, Path: "f", Names: []Names{{Tags: []name.Tag{tag}}}})
	r, err := newBuilder(t, &fakeNix{}).Run(t.Context(), spec.Nixpkgs{Path: "/pkgs"}, []Target{box}, to, stats)
	if err != nil {
		t.Fatal(err)
	}
	if img := r.Images[0]; len(img.Tags) != 0 || len(img.Untagged()) != 1 || len(r.Run.Images[0].Tags) != 0 || len(r.Run.Published) != 2 {
		t.Errorf("%v, %v", img, r.Run)
	}
}
