package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// queueTest is a queue whose builds end when the test says so.
type queueTest struct {
	*builds
	t     *testing.T
	begun chan *job
}

func newQueueTest(t *testing.T, most, queue, share int) *queueTest {
	q := &queueTest{t: t, begun: make(chan *job, 1000)}
	q.builds = &builds{
		describe: func(_ query, err error) string { return err.Error() },
		make: func(ctx context.Context, j *job) (v1.Hash, error) {
			q.begun <- j
			<-ctx.Done()
			return v1.Hash{}, context.Cause(ctx)
		},
		ended: func(Build) {}, maxRunning: most, queue: queue, share: share, keep: 1000, timeout: 1 << 40, under: map[query]*job{},
	}
	t.Cleanup(func() {
		if err := q.close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return q
}

func named(image string) query { return query{image: image, tag: latest} }

// ask enters a request, and returns its build.
func (q *queueTest) ask(client Client, image string) *job {
	q.t.Helper()
	j, err := q.enqueue(named(image), client, nil)
	if err != nil {
		q.t.Fatalf("%s asks for %s: %v", client, image, err)
	}
	return j
}

func (q *queueTest) refused(client Client, image string, want error) {
	q.t.Helper()
	if _, err := q.enqueue(named(image), client, nil); !errors.Is(err, want) {
		q.t.Errorf("%s asks for %s: %v, want %v", client, image, err, want)
	}
}

// end ends the builds of n images one after the other, and returns what has run in between, in order.
func (q *queueTest) end(n int) (images []string) {
	q.t.Helper()
	for range n {
		j := <-q.begun
		images = append(images, j.query.image)
		j.cancel(errors.New("over"))
		<-j.done
	}
	return images
}

// One client fills the queue; those who come later have their turns all the same, one each.
func TestClientsTakeTurns(t *testing.T) {
	q := newQueueTest(t, 1, 64, 16)
	q.ask("greedy", "g0")
	for i := 1; i <= 16; i++ {
		q.ask("greedy", fmt.Sprint("g", i))
	}
	q.refused("greedy", "g17", errShare)
	q.ask("ann", "a1")
	q.ask("ann", "a2")
	q.ask("bob", "b1")
	want := []string{"g0", "a1", "b1", "g1", "a2", "g2", "g3"}
	if got := q.end(len(want)); !slices.Equal(got, want) {
		t.Errorf("builds ran as %v, want %v", got, want)
	}
}

// Turns are remembered while a client has anything here: one that asks again at once is not a new one.
func TestTurnsOutlastABuild(t *testing.T) {
	q := newQueueTest(t, 1, 64, 16)
	q.ask("greedy", "g0")
	q.ask("greedy", "g1")
	q.ask("ann", "a1")
	if got := q.end(2); !slices.Equal(got, []string{"g0", "a1"}) {
		t.Fatalf("got %v", got)
	}
	q.ask("bob", "b1")
	q.ask("greedy", "g2")
	if got := q.end(3); !slices.Equal(got, []string{"g1", "b1", "g2"}) {
		t.Errorf("got %v", got)
	}
}

// A client cannot delay an image by asking for it first, behind its other builds.
func TestSharedBuildHasTheTurnOfEachClient(t *testing.T) {
	q := newQueueTest(t, 1, 64, 16)
	q.ask("greedy", "g0")
	for i := 1; i < 8; i++ {
		q.ask("greedy", fmt.Sprint("g", i))
	}
	q.ask("greedy", "popular")
	q.ask("ann", "popular")
	if got := q.end(2); !slices.Equal(got, []string{"g0", "popular"}) {
		t.Errorf("got %v", got)
	}
}

// A build that one client has left is another's.
func TestOwnerLeaves(t *testing.T) {
	q := newQueueTest(t, 1, 64, 1)
	q.ask("x", "running")
	j := q.ask("greedy", "popular")
	q.refused("greedy", "more", errShare)
	q.ask("ann", "popular")
	q.release(j, "greedy")
	q.refused("ann", "more", errShare)
	q.ask("greedy", "more")
}

// One slot of several is never one client's own: a build may take half an hour.
func TestOneClientDoesNotTakeAllSlots(t *testing.T) {
	q := newQueueTest(t, 3, 64, 16)
	for i := range 6 {
		q.ask("greedy", fmt.Sprint("g", i))
	}
	if running, waiting := q.load(); running != 2 || waiting != 4 {
		t.Errorf("%d run, %d wait", running, waiting)
	}
	q.ask("ann", "a")
	if running, waiting := q.load(); running != 3 || waiting != 4 {
		t.Errorf("%d run, %d wait, and ann came last", running, waiting)
	}
	// Without a name there is no share: a server for one machine has one client.
	alone := newQueueTest(t, 2, 64, 1)
	for i := range 10 {
		alone.ask("", fmt.Sprint("g", i))
	}
	if running, waiting := alone.load(); running != 2 || waiting != 8 {
		t.Errorf("%d run, %d wait", running, waiting)
	}
}

// Where the queue is full, places come from the client with the most; what another client waits for, too, stays.
func TestFullQueueMakesRoom(t *testing.T) {
	q := newQueueTest(t, 1, 4, 3)
	q.ask("x", "running")
	for i := range 3 {
		q.ask("greedy", fmt.Sprint("g", i))
	}
	q.ask("ann", "a")
	q.ask("ann", "g2") // joins
	evicted := q.under[named("g1")]
	q.ask("bob", "b")
	<-evicted.done
	if !errors.Is(evicted.err, errBusy) {
		t.Errorf("the build that made room ended with %v", evicted.err)
	}
	q.ask("carl", "c")              // in place of g0
	q.refused("dave", "d", errBusy) // no client has two more than he
	q.refused("greedy", "g9", errBusy)
	if _, waiting := q.load(); waiting != 4 {
		t.Errorf("%d wait", waiting)
	}
}

func TestRequestsOfOneClientAreBounded(t *testing.T) {
	q := newQueueTest(t, 1, 4, 3)
	for range maxRequests {
		q.ask("greedy", "same")
	}
	q.refused("greedy", "same", errShare)
	q.ask("ann", "same")
}

// Over HTTP: the answer is 429 with a time to come back, for the one client alone.
func TestShareOverHTTP(t *testing.T) {
	gate := newGate("nix-instantiate")
	r := newRegistry(t, func(o *Options) { o.Builds, o.Share = 1, 1 })
	r.nix.before = gate.pass
	ask := func(ctx context.Context, client Client, name string) *httptest.ResponseRecorder {
		answer := httptest.NewRecorder()
		request := httptest.NewRequestWithContext(WithClient(ctx, client), http.MethodGet, "/v2/"+name+"/manifests/latest", http.NoBody)
		r.Handler().ServeHTTP(answer, request)
		return answer
	}
	for i, name := range []string{"git", "htop"} {
		go ask(t.Context(), "greedy", name)
		eventually(t, "it is known", func() bool { running, waiting := r.Load(); return running+waiting == i+1 })
	}
	answer := ask(t.Context(), "greedy", "lib")
	if answer.Code != http.StatusTooManyRequests || answer.Header().Get("Retry-After") != "10" || !strings.Contains(answer.Body.String(), "as many of your builds wait as one client may have (1)") {
		t.Errorf("%d %v %s", answer.Code, answer.Header(), answer.Body)
	}
	patient := make(chan *httptest.ResponseRecorder)
	go func() { patient <- ask(t.Context(), "ann", "app") }()
	eventually(t, "ann waits", func() bool { _, waiting := r.Load(); return waiting == 2 })
	close(gate.open)
	if answer := <-patient; answer.Code != http.StatusOK {
		t.Errorf("ann got %d %s", answer.Code, answer.Body)
	}
}
