package web

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// logins decides when a password is hashed, which is slow on purpose. Each network has one hashed at a time; networks take turns; and
// one that sent many wrong passwords waits before the next, at no cost for others.
type logins struct {
	now func() time.Time

	mu    sync.Mutex
	free  int                        // hashes that may begin
	busy  map[string]bool            // networks that have one
	lines map[string][]chan struct{} // those that wait, by network
	turns []string                   // networks that wait and are not busy, the next one first
	total int                        // that wait
	debts map[string]time.Time       // when the wrong passwords of a network are forgotten
}

// The bounds of what is hashed, waited for and remembered.
const (
	maxLine     = 4 // of one network
	maxLogins   = 4096
	maxDebts    = 4096
	maxWrong    = 20 // in quick succession
	forgetAfter = 6 * time.Second
)

// tooManyError is a network that must wait.
type tooManyError struct{ wait time.Duration }

func (e *tooManyError) Error() string { return fmt.Sprintf("too many logins; try again in %s", e.wait) }

func newLogins(atOnce int) *logins {
	return &logins{now: time.Now, free: atOnce, busy: map[string]bool{}, lines: map[string][]chan struct{}{}, debts: map[string]time.Time{}}
}

// do runs check, which hashes a password, in the network's turn, and returns whether the password was right.
func (l *logins) do(ctx context.Context, network string, check func() bool) (bool, error) {
	if err := l.enter(ctx, network); err != nil {
		return false, err
	}
	defer l.leave(network)
	if err := l.owes(network); err != nil { // while this one waited
		return false, err
	}
	right := check()
	if !right {
		l.charge(network)
	}
	return right, nil
}

// enter waits for the network's turn.
func (l *logins) enter(ctx context.Context, network string) error {
	if err := l.owes(network); err != nil {
		return err
	}
	turn, err := l.line(network)
	if err != nil {
		return err
	}
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.Index(l.lines[network], turn)
	if at < 0 { // the turn came at the same time
		l.pass(network)
		return context.Cause(ctx)
	}
	l.lines[network] = slices.Delete(l.lines[network], at, at+1)
	l.total--
	l.next()
	return context.Cause(ctx)
}

func (l *logins) line(network string) (turn chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines[network]) >= maxLine || l.total >= maxLogins {
		return nil, &tooManyError{forgetAfter}
	}
	turn = make(chan struct{})
	if len(l.lines[network]) == 0 && !l.busy[network] {
		l.turns = append(l.turns, network)
	}
	l.lines[network] = append(l.lines[network], turn)
	l.total++
	l.next()
	return turn, nil
}

func (l *logins) leave(network string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pass(network)
}

// pass gives a slot back. The network's next login comes after those of all networks that wait. It is called with the lock.
func (l *logins) pass(network string) {
	delete(l.busy, network)
	l.free++
	if len(l.lines[network]) > 0 {
		l.turns = append(l.turns, network)
	}
	l.next()
}

// next starts what may start. It is called with the lock.
func (l *logins) next() {
	l.turns = slices.DeleteFunc(l.turns, func(n string) bool { return len(l.lines[n]) == 0 })
	maps.DeleteFunc(l.lines, func(_ string, line []chan struct{}) bool { return len(line) == 0 })
	for l.free > 0 && len(l.turns) > 0 {
		network := l.turns[0]
		close(l.lines[network][0])
		l.turns, l.lines[network] = l.turns[1:], l.lines[network][1:]
		l.total--
		l.free--
		l.busy[network] = true
	}
}

// owes returns a tooManyError while a network has sent too many wrong passwords.
func (l *logins) owes(network string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if debt := l.debts[network].Sub(l.now()); debt > (maxWrong-1)*forgetAfter {
		return &tooManyError{debt - (maxWrong-1)*forgetAfter}
	}
	return nil
}

// charge remembers a wrong password. A full table drops the debt that ends first: networks without number cannot fill the memory.
func (l *logins) charge(network string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	debt, known := l.debts[network]
	if !known && len(l.debts) >= maxDebts {
		maps.DeleteFunc(l.debts, func(_ string, until time.Time) bool { return !until.After(now) })
	}
	if !known && len(l.debts) >= maxDebts {
		first := slices.MinFunc(slices.Collect(maps.Keys(l.debts)), func(a, b string) int { return l.debts[a].Compare(l.debts[b]) })
		delete(l.debts, first)
	}
	if debt.Before(now) {
		debt = now
	}
	l.debts[network] = debt.Add(forgetAfter)
}

// waitOf is how long an error asks to wait, or 0.
func waitOf(err error) time.Duration {
	if e, ok := errors.AsType[*tooManyError](err); ok {
		return e.wait
	}
	return 0
}
