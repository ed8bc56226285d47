package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/logline"
	"github.com/org/nixery-action/internal/redact"
)

// Why a build does not begin, or does not go on.
var (
	errBusy      = errors.New("the server has as many builds as it takes")
	errShare     = errors.New("the client has as many builds waiting as one client may")
	errClosing   = errors.New("the server is shutting down")
	errAbandoned = errors.New("no client waits for the image any more")
	errTimeout   = errors.New("the build took too long")
)

// panicError is a build that ended in a panic.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// builds makes each query's image once, however many clients want it, and no more than some at a time. A build is
// cancelled when the last client that waits for it has gone.
type builds struct {
	make       func(context.Context, *job) (v1.Hash, error)
	ended      func(Build)
	describe   func(query, error) string // why a build failed, for readers of the page
	maxRunning int                       // at once
	queue      int                       // that may wait
	share      int                       // that may wait for one client
	keep       int                       // that have ended
	timeout    time.Duration

	mu       sync.Mutex
	serial   int64
	under    map[query]*job // those that one can join
	waiting  []*job         // in order of arrival
	turns    turns
	running  []*job
	finished []Build // newest last
	closed   bool
	idle     sync.WaitGroup
}

// job is one build. Its Build and its clients are guarded by builds.mu.
type job struct {
	query  query
	owner  Client         // it takes one of the owner's places in the queue; once it runs, one of the owner's places there
	wanted map[Client]int // how many requests of each client wait for it
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when digest and err are there
	digest v1.Hash
	err    error

	journal *buildLog
	build   Build
}

// join waits for the image of a query: of a build under way, or of a new one. It returns early if ctx ends.
func (b *builds) join(ctx context.Context, q query, secrets []string) (v1.Hash, error) {
	client := ClientOf(ctx)
	j, err := b.enqueue(q, client, secrets)
	if err != nil {
		return v1.Hash{}, err
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		b.release(j, client)
		return v1.Hash{}, context.Cause(ctx)
	}
	return j.digest, j.err
}

func (b *builds) enqueue(q query, client Client, secrets []string) (*job, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errClosing
	}
	if j, ok := b.under[q]; ok {
		if client != "" && j.wanted[client] >= maxRequests {
			return nil, errShare
		}
		j.wanted[client]++
		j.build.Clients++
		return j, nil
	}
	if err := b.admit(client); err != nil {
		return nil, err
	}
	j := b.add(q, client, secrets)
	b.waiting = append(b.waiting, j)
	b.next()
	return j, nil
}

func (b *builds) add(q query, client Client, secrets []string) *job {
	b.serial++
	j := &job{query: q, owner: client, wanted: map[Client]int{client: 1}, done: make(chan struct{})}
	j.ctx, j.cancel = context.WithCancelCause(context.Background())
	j.journal = newBuildLog(secrets)
	j.build = Build{
		Serial: b.serial, Name: q.image, Tag: q.tag, Architectures: q.split(), Format: string(q.format),
		Phase: Waiting, Clients: 1, Asked: time.Now(),
	}
	b.under[q] = j
	return j
}

// start is called with the lock.
func (b *builds) start(j *job) {
	j.build.Phase, j.build.Began = Running, time.Now()
	b.running = append(b.running, j)
	b.idle.Go(func() { b.run(j) })
}

func (b *builds) run(j *job) {
	ctx, stop := context.WithTimeoutCause(j.ctx, b.timeout, errTimeout)
	defer stop()
	digest, err := b.protect(ctx, j)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause // whatever it was in the middle of
	}
	b.mu.Lock()
	b.running = slices.DeleteFunc(b.running, func(other *job) bool { return other == j })
	b.finish(j, digest, err)
	b.next()
	ended := j.build
	b.mu.Unlock()
	b.ended(ended)
}

// protect makes a panic the error of its build: the other clients have nothing to do with it.
func (b *builds) protect(ctx context.Context, j *job) (digest v1.Hash, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &panicError{value, debug.Stack()}
		}
	}()
	return b.make(ctx, j)
}

// finish ends a build and wakes all requests that wait for it. It is called with the lock.
func (b *builds) finish(j *job, digest v1.Hash, err error) {
	if b.under[j.query] == j {
		delete(b.under, j.query)
	}
	j.cancel(nil)
	j.digest, j.err = digest, err
	j.build.Phase, j.build.Ended, j.build.Digest, j.build.Log = phaseOf(err), time.Now(), digest, j.journal.last()
	if err != nil {
		j.build.Err = b.describe(j.query, err)
	}
	b.finished = append(b.finished, j.build)
	b.finished = b.finished[max(0, len(b.finished)-b.keep):]
	close(j.done)
}

func phaseOf(err error) Phase {
	switch {
	case err == nil:
		return Done
	case errors.Is(err, errAbandoned), errors.Is(err, errClosing), errors.Is(err, errBusy):
		return Abandoned
	case errors.Is(err, errTimeout):
		return TimedOut
	}
	return Failed
}

// release drops one waiter, and cancels the build when none is left; later requests start a new build.
func (b *builds) release(j *job, client Client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	j.forget(client)
	if j.build.Clients--; j.build.Clients == 0 {
		b.giveUp(j, errAbandoned)
	}
	b.next() // a job that changed its owner may have its turn now
}

// giveUp ends a build. One that waits is over at once. It is called with the lock.
func (b *builds) giveUp(j *job, why error) {
	if b.under[j.query] != j {
		return // over already
	}
	delete(b.under, j.query)
	j.cancel(why)
	if at := slices.Index(b.waiting, j); at >= 0 {
		b.waiting = slices.Delete(b.waiting, at, at+1)
		b.finish(j, v1.Hash{}, why)
		over := j.build
		b.idle.Go(func() { b.ended(over) }) // without the lock
	}
}

// close ends all builds and waits for them, at most until ctx ends.
func (b *builds) close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	for _, j := range slices.Concat(b.waiting, b.running) {
		b.giveUp(j, errClosing)
	}
	b.mu.Unlock()
	over := make(chan struct{})
	go func() { b.idle.Wait(); close(over) }()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for builds to end: %w", context.Cause(ctx))
	}
}

// list is what there is to say of builds.
func (b *builds) list() []Build {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []Build
	for _, j := range slices.Backward(slices.Concat(b.running, b.waiting)) {
		now := j.build
		now.Log = j.journal.last()
		all = append(all, now)
	}
	for _, over := range slices.Backward(b.finished) {
		all = append(all, over)
	}
	return all
}

func (b *builds) load() (running, waiting int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.running), len(b.waiting)
}

// note changes what is known of a build under way.
func (b *builds) note(j *job, change func(*Build)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&j.build)
}

// Phase is how far a build is.
type Phase string

// The phases of a build; the last four are ends.
const (
	Waiting   Phase = "waiting"
	Running   Phase = "running"
	Done      Phase = "done"
	Failed    Phase = "failed"
	Abandoned Phase = "abandoned" // its last client went away
	TimedOut  Phase = "timed out"
)

// Build is what is known of a build now.
type Build struct {
	Serial        int64 // 1 is the first since the server began
	Name, Tag     string
	Architectures []string
	Format        string // docker or oci
	Phase         Phase
	Clients       int       // that wait for it
	Asked         time.Time // for it, by the first client
	Began, Ended  time.Time // zero if it has not
	Pinned        string    // what the source stood for, as "nixpkgs commit 1f…"; empty if unknown
	Digest        v1.Hash   // if it is done
	Err           string    // if it is not, and never will be
	Log           []string  // its last lines, without control characters or secrets; they are not escaped
}

// Client is a user or an address that asks for images: the unit in which builds are shared out. The empty Client is one that no
// limit holds for.
type Client string

type clientKey struct{}

// WithClient returns a context whose requests are client's.
func WithClient(ctx context.Context, client Client) context.Context {
	return context.WithValue(ctx, clientKey{}, client)
}

// ClientOf returns whose requests those of a context are.
func ClientOf(ctx context.Context) Client {
	client, _ := ctx.Value(clientKey{}).(Client)
	return client
}

// maxRequests bounds the requests of one client that wait for the same build.
const maxRequests = 64

// turns lists clients that had a build started, the one that waits longest for its next first. Clients without a turn come before.
type turns []Client

// take moves a client to the end.
func (t *turns) take(client Client) {
	*t = append(slices.DeleteFunc(*t, func(c Client) bool { return c == client }), client)
}

// admit returns an error if a client may not add one more build. Where the queue is full, the client with the most places gives one up
// to a client that has far fewer: so many builds of one sender cannot keep others out.
func (b *builds) admit(client Client) error {
	places := owned(b.waiting)
	switch {
	case len(b.running) < b.maxRunning && b.mayRun(client, owned(b.running)):
		return nil // it starts at once
	case client != "" && places[client] >= b.share:
		return errShare
	case len(b.waiting) < b.queue:
		return nil
	}
	most, last := Client(""), -1
	for i, j := range b.waiting {
		alone := j.owner != "" && len(j.wanted) == 1
		if alone && (last < 0 || places[j.owner] > places[most] || j.owner == most) {
			most, last = j.owner, i
		}
	}
	if last < 0 || client == "" || places[most] < places[client]+2 {
		return errBusy
	}
	b.giveUp(b.waiting[last], errBusy)
	return nil
}

// owned counts builds by their owners.
func owned(jobs []*job) map[Client]int {
	n := map[Client]int{}
	for _, j := range jobs {
		n[j.owner]++
	}
	return n
}

// mayRun leaves one slot to other clients, if there is more than one: a build may take half an hour, and is not interrupted.
func (b *builds) mayRun(client Client, running map[Client]int) bool {
	return client == "" || running[client] < max(1, b.maxRunning-1)
}

// next starts builds while slots are free. It is called with the lock.
func (b *builds) next() {
	for len(b.running) < b.maxRunning && !b.closed {
		at, client := b.choose()
		if at < 0 {
			break
		}
		j := b.waiting[at]
		b.waiting = slices.Delete(b.waiting, at, at+1)
		j.owner = client
		b.turns.take(client)
		b.start(j)
	}
	present := map[Client]bool{}
	for _, j := range slices.Concat(b.waiting, b.running) {
		present[j.owner] = true
		for c := range j.wanted {
			present[c] = true
		}
	}
	b.turns = slices.DeleteFunc(b.turns, func(c Client) bool { return !present[c] })
}

// choose returns the oldest build of the client whose last turn is longest ago, and that client. A build has its turn with any client
// that waits for it. The position is -1 if none may start.
func (b *builds) choose() (at int, client Client) {
	running, rank := owned(b.running), map[Client]int{}
	for i, c := range b.turns {
		rank[c] = i + 1
	}
	at = -1
	for i, j := range b.waiting {
		for c := range j.wanted {
			better := at < 0 || rank[c] < rank[client] || i == at && rank[c] == rank[client] && c == j.owner
			if better && b.mayRun(c, running) {
				at, client = i, c
			}
		}
	}
	return at, client
}

// forget drops a request of a client. A build whose owner has gone becomes that of another client that waits for it.
func (j *job) forget(client Client) {
	if j.wanted[client]--; j.wanted[client] > 0 {
		return
	}
	delete(j.wanted, client)
	if j.owner != client {
		return
	}
	for c := range j.wanted {
		j.owner = c
		return
	}
}

const (
	maxLines = 200 // of a build's log
	maxLine  = 500 // bytes
)

// buildLog is a build's log: its last lines, without secrets and control characters.
type buildLog struct {
	secrets []string
	safe    *redact.Writer // to the lines

	mu    sync.Mutex
	lines []string
	rest  []byte
}

func newBuildLog(secrets []string) *buildLog {
	j := &buildLog{secrets: secrets}
	j.safe = redact.NewWriter(lineWriter{j}, secrets...)
	return j
}

// Write implements [io.Writer]. Bytes may be cut into writes in any way.
func (j *buildLog) Write(p []byte) (int, error) { return j.safe.Write(p) }

type lineWriter struct{ *buildLog }

func (w lineWriter) Write(p []byte) (int, error) {
	j := w.buildLog
	j.mu.Lock()
	defer j.mu.Unlock()
	j.rest = append(j.rest, p...)
	for {
		line, rest, whole := bytes.Cut(j.rest, []byte("\n"))
		if !whole && len(j.rest) <= 2*maxLine {
			return len(p), nil
		}
		j.add(string(line[:min(len(line), maxLine)]))
		if j.rest = slices.Clone(rest); !whole {
			j.rest = nil
		}
	}
}

func (j *buildLog) add(line string) {
	if line = strings.TrimRight(logline.Clean(line), " \t\n"); line == "" {
		return
	}
	if len(j.lines) == maxLines {
		j.lines = j.lines[1:]
	}
	j.lines = append(j.lines, line)
}

// last returns a copy of the lines.
func (j *buildLog) last() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

func plain(text string, secrets []string) string {
	var clean bytes.Buffer
	w := redact.NewWriter(&clean, secrets...)
	_, _ = w.Write([]byte(logline.Clean(text))) // a buffer takes all
	_ = w.Flush()
	return clean.String()
}
