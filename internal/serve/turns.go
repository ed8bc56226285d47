package serve

import (
	"context"
	"slices"
)

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
