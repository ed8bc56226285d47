package publish

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// pushTags publishes one small image under tags, and returns what they stood for before.
func pushTags(t *testing.T, seed uint64, tags ...name.Tag) (digest v1.Hash, before map[string]v1.Hash) {
	t.Helper()
	before = map[string]v1.Hash{}
	r, _ := hasty(RegistryOptions{Moved: func(tag name.Tag, from v1.Hash) { before[tag.TagStr()] = from }})
	digests, err := r.Publish(t.Context(), []Artifact{{Name: "a", Image: imageOf(t, "amd64", newLayer(t, seed, 1000)), Tags: tags}})
	if err != nil {
		t.Fatal(err)
	}
	return digests[0], before
}

func TestPublishTellsWhatTagsStoodFor(t *testing.T) {
	reg := newRegistry(t)
	x, y := reg.tag(t, "a:x"), reg.tag(t, "a:y")
	first, before := pushTags(t, 1, x)
	if diff := cmp.Diff(map[string]v1.Hash{"x": {}}, before); diff != "" {
		t.Errorf("first push (-want +got):\n%s", diff)
	}
	requests := len(reg.matching("/manifests/x"))
	second, before := pushTags(t, 2, x, y)
	if diff := cmp.Diff(map[string]v1.Hash{"x": first, "y": {}}, before); diff != "" {
		t.Errorf("second push (-want +got):\n%s", diff)
	}
	if _, before = pushTags(t, 2, x); before["x"] != second {
		t.Errorf("a push that changed nothing says %v, want %s", before, second)
	}
	if got := len(reg.matching("/manifests/x")); got != requests+2+1 {
		t.Errorf("%d requests about the tag, %d of them in the first push", got, requests)
	}
}

// The second attempt finds what the first one, whose answer was lost, has set.
func TestPublishTellsWhatATagStoodForBeforeTheFirstAttempt(t *testing.T) {
	reg := newRegistry(t)
	x := reg.tag(t, "a:x")
	first, _ := pushTags(t, 1, x)
	reg.faults = []*fault{{method: "PUT", path: "/manifests/x", nth: 1, answer: func(_ http.ResponseWriter, r *http.Request) {
		reg.inner.ServeHTTP(&lost{http.Header{}}, r)
		panic(http.ErrAbortHandler)
	}}}
	second, before := pushTags(t, 2, x)
	if before["x"] != first {
		t.Errorf("got %s, want %s", before["x"], first)
	}
	checkPulled(t, x, second)
}

// lost is an answer that does not arrive.
type lost struct{ header http.Header }

func (l *lost) Header() http.Header         { return l.header }
func (l *lost) Write(p []byte) (int, error) { return len(p), nil }
func (l *lost) WriteHeader(int)             {}

func TestPublishDoesNotGuessWhatATagStoodFor(t *testing.T) {
	reg := newRegistry(t, &fault{method: "HEAD", path: "/manifests/x", nth: 1, forever: true, answer: status(http.StatusForbidden)})
	if _, before := pushTags(t, 1, reg.tag(t, "a:x")); len(before) != 0 {
		t.Errorf("it says %v", before)
	}
}
