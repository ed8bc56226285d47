package publish

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/registry"
	"github.com/org/nixery-action/internal/registry/registrytest"
	"github.com/org/nixery-action/internal/retry"
)

// pushTags publishes one small image under tags, and returns what became of them.
func pushTags(t *testing.T, seed uint64, tags ...name.Tag) (digest v1.Hash, settled map[string]Tagging) {
	t.Helper()
	settled = map[string]Tagging{}
	r, _ := hasty(RegistryOptions{Tagged: func(t Tagging) { settled[t.Tag.TagStr()] = t }})
	digests, err := r.Publish(t.Context(), []Artifact{{Name: "a", Image: registrytest.ImageOf(t, "amd64", registrytest.NewLayer(t, seed, 1000)), Tags: tags}})
	if err != nil {
		t.Fatal(err)
	}
	return digests[0], settled
}

func TestPublishTellsWhatBecameOfTags(t *testing.T) {
	reg := registrytest.NewRegistry(t)
	x, y := reg.Tag(t, "a:x"), reg.Tag(t, "a:y")
	check := func(when string, got map[string]Tagging, want ...Tagging) {
		t.Helper()
		for _, w := range want {
			w.Asked = true
			if g := got[w.Tag.TagStr()]; g != w {
				t.Errorf("%s: got %v, want %v", when, g, w)
			}
		}
	}
	first, got := pushTags(t, 1, x)
	check("first", got, Tagging{Tag: x, Outcome: Created, To: first})
	second, got := pushTags(t, 2, x, y)
	check("second", got, Tagging{Tag: x, Outcome: Moved, From: first, To: second}, Tagging{Tag: y, Outcome: Created, To: second})
	requests := len(reg.Matching("/manifests/x"))
	_, got = pushTags(t, 2, x)
	check("third", got, Tagging{Tag: x, Outcome: Same, From: second, To: second})
	if n := len(reg.Matching("/manifests/x")); n != requests+1 {
		t.Errorf("%d requests about a tag that stays, want one", n-requests)
	}
}

// The second attempt finds what the first one, whose answer was lost, has set.
func TestPublishTellsWhatATagStoodForBeforeTheFirstAttempt(t *testing.T) {
	reg := registrytest.NewRegistry(t)
	x := reg.Tag(t, "a:x")
	first, _ := pushTags(t, 1, x)
	reg.Faults = []*registrytest.Fault{{Method: "PUT", Path: "/manifests/x", Nth: 1, Answer: func(_ http.ResponseWriter, r *http.Request) {
		reg.Inner.ServeHTTP(&lost{http.Header{}}, r)
		panic(http.ErrAbortHandler)
	}}}
	second, settled := pushTags(t, 2, x)
	if got := settled["x"]; got.From != first || got.Outcome != Moved {
		t.Errorf("got %v, want it to have moved from %s", got, first)
	}
	checkPulled(t, x, second)
}

// lost is an answer that does not arrive.
type lost struct{ header http.Header }

func (l *lost) Header() http.Header         { return l.header }
func (l *lost) Write(p []byte) (int, error) { return len(p), nil }
func (l *lost) WriteHeader(int)             {}

func TestPublishDoesNotGuessWhatATagStoodFor(t *testing.T) {
	reg := registrytest.NewRegistry(t, &registrytest.Fault{Method: "HEAD", Path: "/manifests/x", Nth: 1, Forever: true, Answer: registrytest.Status(http.StatusForbidden)})
	if _, settled := pushTags(t, 1, reg.Tag(t, "a:x")); settled["x"].Asked || !settled["x"].Outcome.Set() {
		t.Errorf("it says %v", settled)
	}
}

// namesTagged are the tags of all repositories that were set, in order.
func namesTagged(f *registrytest.Registry) []string {
	var all []string
	for _, put := range f.Matching("PUT ", "/manifests/") {
		if !strings.Contains(put, "sha256:") {
			repo, tag, _ := strings.Cut(strings.TrimPrefix(put, "PUT /v2/"), "/manifests/")
			all = append(all, repo+":"+tag)
		}
	}
	return all
}

// Over all images and repositories: new tags, then those that move, latest last; nothing about those that stay.
func TestPublishSetsTagsInOrder(t *testing.T) {
	for range 5 { // whatever the luck of goroutines
		reg := registrytest.NewRegistry(t)
		old, one, two := registrytest.ImageOf(t, "amd64", registrytest.NewLayer(t, 1, 100)), registrytest.ImageOf(t, "amd64", registrytest.NewLayer(t, 2, 100)), registrytest.ImageOf(t, "amd64", registrytest.NewLayer(t, 3, 100))
		r, _ := hasty(RegistryOptions{Jobs: 4})
		publish := func(artifacts ...Artifact) {
			t.Helper()
			if _, err := r.Publish(t.Context(), artifacts); err != nil {
				t.Fatal(err)
			}
		}
		publish(Artifact{Name: "old", Image: old, Tags: []name.Tag{reg.Tag(t, "a:latest"), reg.Tag(t, "a:moves"), reg.Tag(t, "b:moves")}},
			Artifact{Name: "two", Image: two, Tags: []name.Tag{reg.Tag(t, "b:stays")}})
		before := len(namesTagged(reg))
		publish(Artifact{Name: "one", Image: one, Tags: []name.Tag{reg.Tag(t, "a:latest"), reg.Tag(t, "a:moves"), reg.Tag(t, "a:z"), reg.Tag(t, "a:b"), reg.Tag(t, "a:z")}},
			Artifact{Name: "two", Image: two, Tags: []name.Tag{reg.Tag(t, "b:latest"), reg.Tag(t, "b:stays"), reg.Tag(t, "b:moves"), reg.Tag(t, "b:new")}})
		want := []string{"a:z", "a:b", "b:new", "a:moves", "b:moves", "b:latest", "a:latest"}
		if diff := cmp.Diff(want, namesTagged(reg)[before:]); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	}
}

// What is refused ends it: nothing after it is set, whichever image or repository it is of, and the error says all.
func TestPublishStopsAtATagThatIsRefused(t *testing.T) {
	for code, want := range map[int]Outcome{403: Refused, 400: Refused, 409: Refused, 429: Refused, 500: Refused} {
		reg := registrytest.NewRegistry(t)
		r, _ := hasty(RegistryOptions{})
		old := Artifact{Name: "old", Image: registrytest.ImageOf(t, "amd64", registrytest.NewLayer(t, 1, 100)), Tags: []name.Tag{reg.Tag(t, "a:latest"), reg.Tag(t, "b:edge")}}
		before, err := r.Publish(t.Context(), []Artifact{old})
		if err != nil {
			t.Fatal(err)
		}
		done := len(namesTagged(reg))
		reg.Faults = []*registrytest.Fault{{Method: "PUT", Path: "/a/manifests/v2", Nth: 1, Forever: true, Answer: registrytest.Status(code)}}
		var told []Tagging
		r, _ = hasty(RegistryOptions{Tagged: func(t Tagging) { told = append(told, t) }}, registry.Options{Retry: retry.Policy{Attempts: 2}})
		_, err = r.Publish(t.Context(), []Artifact{
			{Name: "one", Image: registrytest.ImageOf(t, "amd64", registrytest.NewLayer(t, 2, 100)), Tags: []name.Tag{reg.Tag(t, "a:latest"), reg.Tag(t, "a:v1"), reg.Tag(t, "a:v2")}},
			{Name: "two", Image: registrytest.ImageOf(t, "amd64", registrytest.NewLayer(t, 3, 100)), Tags: []name.Tag{reg.Tag(t, "b:edge")}},
		})
		var stopped *TagsError
		if !errors.As(err, &stopped) || !errors.As(err, new(*registry.Error)) {
			t.Fatalf("%d: %v", code, err)
		}
		got := map[string]Outcome{}
		for _, tagging := range stopped.Taggings {
			got[tagging.Tag.RepositoryStr()+":"+tagging.Tag.TagStr()] = tagging.Outcome
		}
		if diff := cmp.Diff(map[string]Outcome{"a:v1": Created, "a:v2": want, "b:edge": Untried, "a:latest": Untried}, got); diff != "" {
			t.Errorf("%d (-want +got):\n%s", code, diff)
		}
		if len(told) != 4 || told[3].From != before[0] {
			t.Errorf("%d: it told %v", code, told)
		}
		for _, set := range namesTagged(reg)[done:] {
			if set != "a:v1" && set != "a:v2" {
				t.Errorf("%d: %s was set", code, set)
			}
		}
		for _, part := range []string{"created " + reg.Host() + "/a:v1", "refused " + reg.Host() + "/a:v2: no such tag existed",
			"not tried " + reg.Host() + "/a:latest: it had " + before[0].String(), "exists by digest: " + reg.Host() + "/a@" + stopped.Taggings[0].To.String()} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%d: the error does not say %q:\n%v", code, part, err)
			}
		}
	}
}

// An answer that is lost for good: the registry is asked what became of the tag, and if it does not say, nothing is claimed.
func TestPublishOfATagWhoseAnswerIsLost(t *testing.T) {
	for want, silent := range map[Outcome]bool{Created: false, Unknown: true} {
		reg := registrytest.NewRegistry(t)
		gone := false
		reg.Faults = []*registrytest.Fault{{Method: "PUT", Path: "/manifests/x", Nth: 1, Answer: func(_ http.ResponseWriter, r *http.Request) {
			reg.Inner.ServeHTTP(&lost{http.Header{}}, r)
			gone = silent
			panic(http.ErrAbortHandler)
		}}, {Method: "HEAD", Path: "/manifests/x", Nth: 3, Forever: true, Answer: func(w http.ResponseWriter, r *http.Request) {
			if gone {
				panic(http.ErrAbortHandler)
			}
			reg.Inner.ServeHTTP(w, r)
		}}}
		var told []Tagging
		r, _ := hasty(RegistryOptions{Tagged: func(t Tagging) { told = append(told, t) }}, registry.Options{Retry: retry.Policy{Attempts: 1}})
		_, err := r.Publish(t.Context(), []Artifact{{Name: "a", Image: registrytest.ImageOf(t, "amd64", registrytest.NewLayer(t, 1, 100)), Tags: []name.Tag{reg.Tag(t, "a:x"), reg.Tag(t, "a:y")}}})
		if (err != nil) != silent || len(told) != 2 || told[0].Outcome != want || told[1].Outcome.Set() == silent {
			t.Errorf("silent %v: error %v, told %v", silent, err, told)
		}
	}
}

// Cancelled in mid-tag: what is known is told, and no further tag is set.
func TestPublishCancelledBetweenTags(t *testing.T) {
	reg := registrytest.NewRegistry(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupted := errors.New("interrupted")
	stuck := make(chan struct{})
	defer close(stuck)
	reg.Faults = []*registrytest.Fault{{Method: "PUT", Path: "/manifests/v2", Nth: 1, Answer: func(_ http.ResponseWriter, r *http.Request) {
		cancel(interrupted)
		<-stuck
	}}}
	r, _ := hasty(RegistryOptions{})
	r.grace = 10 * time.Millisecond
	image := registrytest.ImageOf(t, "amd64", registrytest.NewLayer(t, 1, 100))
	_, err := r.Publish(ctx, []Artifact{{Name: "a", Image: image, Tags: []name.Tag{reg.Tag(t, "a:latest"), reg.Tag(t, "a:v1"), reg.Tag(t, "a:v2"), reg.Tag(t, "a:v3")}}})
	var stopped *TagsError
	if !errors.As(err, &stopped) || !errors.Is(err, interrupted) {
		t.Fatalf("error is %v", err)
	}
	var got []Outcome
	for _, tagging := range stopped.Taggings {
		got = append(got, tagging.Outcome)
	}
	if diff := cmp.Diff([]Outcome{Created, Unknown, Untried, Untried}, got); diff != "" {
		t.Errorf("(-want +got):\n%s\n%v", diff, err)
	}
}
