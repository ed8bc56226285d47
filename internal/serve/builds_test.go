package serve

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// gate holds processes of one name until it is opened.
type gate struct {
	program string
	reached chan struct{} // gets a value from each process
	open    chan struct{}
}

func newGate(program string) *gate {
	return &gate{program, make(chan struct{}, 100), make(chan struct{})}
}

func (g *gate) pass(ctx context.Context, program string) error {
	if program != g.program {
		return nil
	}
	g.reached <- struct{}{}
	select {
	case <-g.open:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pull asks for the image in the background.
func (r *registry) pull(ctx context.Context, name string) chan reply {
	got := make(chan reply, 1)
	go func() {
		defer close(got)
		if answer, err := r.try(ctx, http.MethodGet, "/v2/"+name+"/manifests/latest"); err == nil {
			got <- answer
		}
	}()
	return got
}

// eventually waits for something that other goroutines do.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func (r *registry) clients() (n int) {
	for _, b := range r.Builds() {
		if b.Phase == Running || b.Phase == Waiting {
			n += b.Clients
		}
	}
	return n
}

func TestEqualRequestsShareABuild(t *testing.T) {
	gate := newGate("nix-build")
	r := newRegistry(t, nil)
	r.nix.before = gate.pass
	var pulls []chan reply
	for i := range 8 {
		name := []string{"shell/app/git", "shell/git/app"}[i%2] // order is no difference
		pulls = append(pulls, r.pull(t.Context(), name))
	}
	eventually(t, "eight clients wait", func() bool { return r.clients() == 8 })
	close(gate.open)
	digests := map[string]bool{}
	for _, pull := range pulls {
		answer := <-pull
		digests[answer.digest()] = true
	}
	if len(digests) != 1 || r.nix.count("nix-instantiate") != 1 || r.nix.count("nix-build") != 1 {
		t.Errorf("digests %v, processes %v", digests, r.nix.calls)
	}
}

// Another architecture, format or tag is another image.
func TestOtherRequestsDoNotShareABuild(t *testing.T) {
	gate := newGate("nix-instantiate")
	r := newRegistry(t, func(o *Options) { o.Builds = 10 })
	r.nix.before = gate.pass
	for _, path := range []string{"git/manifests/latest", "arm64/git/manifests/latest", "git/manifests/" + someCommit, "shell/git/manifests/latest"} {
		go r.try(t.Context(), http.MethodHead, "/v2/"+path)
	}
	go r.try(t.Context(), http.MethodHead, "/v2/git/manifests/latest", "Accept", ociTypes)
	go r.try(t.Context(), http.MethodHead, "/v2/git/manifests/latest", "Accept", dockerTypes)
	for range 6 {
		<-gate.reached
	}
	close(gate.open)
}

func TestBuildEndsWithItsLastClient(t *testing.T) {
	gate := newGate("nix-build")
	r := newRegistry(t, nil)
	r.nix.before = gate.pass
	first, firstGoes := context.WithCancel(t.Context())
	second, secondGoes := context.WithCancel(t.Context())
	r.pull(first, "app")
	r.pull(second, "app")
	<-gate.reached
	eventually(t, "two clients wait", func() bool { return r.clients() == 2 })
	firstGoes()
	eventually(t, "one client waits", func() bool { return r.clients() == 1 })
	if b := r.Builds()[0]; b.Phase != Running {
		t.Errorf("the build is %s, and a client waits", b.Phase)
	}
	secondGoes()
	eventually(t, "the build was given up", func() bool { return r.Builds()[0].Phase == Abandoned })
	close(gate.open)
	r.get("/v2/app/manifests/latest") // who comes later is not told of it
}

func TestQueue(t *testing.T) {
	gate := newGate("nix-instantiate")
	r := newRegistry(t, func(o *Options) { o.Builds, o.Queue = 2, 1 })
	r.nix.before = gate.pass
	first, second := r.pull(t.Context(), "git"), r.pull(t.Context(), "htop")
	<-gate.reached
	<-gate.reached
	third := r.pull(t.Context(), "app")
	eventually(t, "one waits", func() bool { _, waiting := r.Load(); return waiting == 1 })
	if running, _ := r.Load(); running != 2 {
		t.Errorf("%d builds run", running)
	}
	answer := r.do(http.MethodGet, "/v2/lib/manifests/latest")
	if code, _, _ := answer.fault(t); answer.StatusCode != http.StatusTooManyRequests || code != "TOOMANYREQUESTS" || answer.Header.Get("Retry-After") != "10" {
		t.Errorf("past the queue: %s, Retry-After %q: %s", answer.Status, answer.Header.Get("Retry-After"), answer.content)
	}
	joined := r.pull(t.Context(), "git") // takes no place
	eventually(t, "four clients wait", func() bool { return r.clients() == 4 })
	close(gate.open)
	for i, pull := range []chan reply{first, second, third, joined} {
		if answer := <-pull; answer.Response == nil || answer.StatusCode != http.StatusOK {
			t.Errorf("%d: got %v", i, answer.Response)
		}
	}
}

func TestWaitingBuildIsGivenUp(t *testing.T) {
	gate := newGate("nix-instantiate")
	r := newRegistry(t, func(o *Options) { o.Builds, o.Queue = 1, 1 })
	r.nix.before = gate.pass
	first := r.pull(t.Context(), "git")
	<-gate.reached
	ctx, goes := context.WithCancel(t.Context())
	r.pull(ctx, "htop")
	eventually(t, "one waits", func() bool { _, waiting := r.Load(); return waiting == 1 })
	goes()
	eventually(t, "none waits", func() bool { _, waiting := r.Load(); return waiting == 0 })
	close(gate.open)
	<-first
	if n := r.nix.count("nix-instantiate"); n != 1 {
		t.Errorf("%d evaluations", n)
	}
}

// The slot of a build without a waiter goes to the next in the queue.
func TestSlotIsFreeWhenAllHaveGone(t *testing.T) {
	gate := newGate("nix-build")
	ended := make(chan Build, 3)
	r := newRegistry(t, func(o *Options) {
		o.Builds, o.Queue = 1, 2
		o.Hooks.Ended = func(b Build) { ended <- b }
	})
	r.nix.before = gate.pass
	inBuild, buildGoes := context.WithCancel(t.Context())
	inQueue, queueGoes := context.WithCancel(t.Context())
	waiting := func(want int) func() bool {
		return func() bool { _, n := r.Load(); return n == want }
	}
	r.pull(inBuild, "app")
	<-gate.reached
	r.pull(inQueue, "htop")
	eventually(t, "one waits", waiting(1))
	patient := r.pull(t.Context(), "git")
	eventually(t, "two wait", waiting(2))
	queueGoes()
	eventually(t, "one waits still", waiting(1))
	if b := <-ended; b.Name != "htop" || b.Phase != Abandoned || !b.Began.IsZero() {
		t.Errorf("what ended is %s, %s", b.Name, b.Phase)
	}
	buildGoes()
	eventually(t, "the next has its turn", waiting(0))
	close(gate.open)
	if answer := <-patient; answer.Response == nil || answer.StatusCode != http.StatusOK {
		t.Errorf("who waited got %v", answer.Response)
	}
	eventually(t, "nothing runs", func() bool { running, _ := r.Load(); return running == 0 })
	if n := r.nix.count("nix-build"); n != 2 {
		t.Errorf("%d runs of nix-build", n)
	}
}

func TestTimeLimit(t *testing.T) {
	gate := newGate("nix-build")
	r := newRegistry(t, func(o *Options) { o.Timeout = time.Millisecond })
	r.nix.before = gate.pass
	answer := r.do(http.MethodGet, "/v2/app/manifests/latest")
	if code, _, _ := answer.fault(t); answer.StatusCode != http.StatusServiceUnavailable || code != "UNAVAILABLE" || answer.Header.Get("Retry-After") == "" {
		t.Errorf("%s %v %s", answer.Status, answer.Header, answer.content)
	}
	if b := r.Builds()[0]; b.Phase != TimedOut || !strings.Contains(b.Err, "took too long") {
		t.Errorf("the build is %s: %s", b.Phase, b.Err)
	}
}

func TestPanicIsTheErrorOfItsBuild(t *testing.T) {
	r := newRegistry(t, nil)
	r.nix.before = func(context.Context, string) error { panic("out of cheese") }
	message := r.refuse(http.StatusInternalServerError, "UNKNOWN", http.MethodGet, "/v2/app/manifests/latest")
	if strings.Contains(message, "cheese") {
		t.Errorf("strangers are told %q", message)
	}
	if b := r.Builds()[0]; b.Phase != Failed || !strings.Contains(b.Err, "out of cheese") {
		t.Errorf("the build is %s: %s", b.Phase, b.Err)
	}
	r.nix.before = nil
	r.get("/v2/app/manifests/latest")
}

func TestCloseEndsBuilds(t *testing.T) {
	gate := newGate("nix-instantiate")
	r := newRegistry(t, func(o *Options) { o.Builds = 1 })
	r.nix.before = gate.pass
	running, waiting := r.pull(t.Context(), "git"), r.pull(t.Context(), "app")
	<-gate.reached
	eventually(t, "one waits", func() bool { _, waiting := r.Load(); return waiting == 1 })
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, pull := range []chan reply{running, waiting} {
		if answer := <-pull; answer.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("got %s", answer.Status)
		}
	}
	r.refuse(http.StatusServiceUnavailable, "UNAVAILABLE", http.MethodGet, "/v2/lib/manifests/latest")
}

// Of more builds than that, the oldest are forgotten; the newest come first, with their logs.
func TestBuildsAreRemembered(t *testing.T) {
	var mu sync.Mutex
	var ended []string
	r := newRegistry(t, func(o *Options) {
		o.Keep = 2
		o.Hooks.Ended = func(b Build) {
			mu.Lock()
			defer mu.Unlock()
			ended = append(ended, fmt.Sprint(b.Serial, " ", b.Name, ":", b.Tag, " ", b.Architectures, " ", b.Phase))
		}
	})
	r.nix.lines = []string{"\x1b[31mred\x1b[0m and a\x07 bell", strings.Repeat("long", 1000)}
	r.get("/v2/git/manifests/latest")
	r.refuse(http.StatusNotFound, "MANIFEST_UNKNOWN", http.MethodGet, "/v2/absent/manifests/latest")
	r.get("/v2/arm64/app/manifests/" + someCommit)
	want := []string{"1 git:latest [amd64] done", "2 absent:latest [amd64] failed", "3 app:" + someCommit + " [arm64] done"}
	eventually(t, "all are told of", func() bool { mu.Lock(); defer mu.Unlock(); return len(ended) == 3 })
	if diff := cmp.Diff(want, ended); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	all := r.Builds()
	if len(all) != 2 || all[0].Serial != 3 || all[1].Serial != 2 {
		t.Fatalf("got %v", all)
	}
	if all[0].Pinned != "nixpkgs commit "+someCommit || all[0].Digest.Hex == "" || all[1].Err == "" {
		t.Errorf("got %+v", all)
	}
	log := strings.Join(all[0].Log, "\n")
	if !strings.Contains(log, "red and a bell") || !strings.Contains(log, "publishing") || len(log) > maxLines*maxLine {
		t.Errorf("the log is %q", log)
	}
}
