package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// atCost is a hash of this cost that no password is known of: its form is right, and nothing is computed.
func atCost(cost int) string {
	return fmt.Sprintf("$2a$%02d$%s", cost, strings.Repeat("a", hashDigits))
}

// Whatever the name, a wrong password costs the rounds of the highest cost in the file.
func TestWorkTellsNoUsersApart(t *testing.T) {
	u, err := users(t, "cheap:"+atCost(4), "middle:"+atCost(9), "dear:"+atCost(12))
	if err != nil {
		t.Fatal(err)
	}
	rounds := 0
	real := u.compare
	u.compare = func(hash, password []byte) error {
		cost, err := bcrypt.Cost(hash)
		if err != nil {
			t.Error(err)
		}
		rounds += 1 << cost
		return bcrypt.ErrMismatchedHashAndPassword
	}
	for _, name := range []string{"cheap", "middle", "dear", "absent", "", "cheap\x00", "CHEAP"} {
		for _, password := range []string{"", "guess", strings.Repeat("long", 100)} {
			rounds = 0
			if u.check(name, password) || rounds != 1<<12 {
				t.Errorf("%q with %.10q: %d rounds, want %d", name, password, rounds, 1<<12)
			}
		}
	}
	// bcrypt itself takes the hashes of no password for real ones: another error would come without any work.
	for cost := 4; cost < 7; cost++ {
		if err := real(u.nothing(cost), []byte("guess")); !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			t.Errorf("cost %d: %v", cost, err)
		}
	}
}

// slowUsers has alice and bob, whose passwords take as long to compare as the test wants; hashing tells how many compare now.
func slowUsers(t *testing.T, atOnce int, takes time.Duration) (u *Users, order func() []string) {
	t.Helper()
	u, err := users(t, "alice:"+hashed(t, "secret"), "bob:"+hashed(t, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	u.logins = newLogins(atOnce)
	var mu sync.Mutex
	var passwords []string
	u.compare = func(_, password []byte) error {
		mu.Lock()
		passwords = append(passwords, string(password))
		mu.Unlock()
		time.Sleep(takes) // synctest's time
		if string(password) == "secret" {
			return nil
		}
		return bcrypt.ErrMismatchedHashAndPassword
	}
	return u, func() []string { mu.Lock(); defer mu.Unlock(); return slices.Clone(passwords) }
}

// One address floods the server with guesses: a user from elsewhere waits for one of them at most, and a user that is known for none.
func TestFloodOfGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, order := slowUsers(t, 1, time.Second)
		if ok, err := u.right(t.Context(), "home", "bob", "secret"); !ok {
			t.Fatal(err)
		}
		var refused, wrong int
		var mu sync.Mutex
		for i := range 100 {
			go func() {
				ok, err := u.right(t.Context(), "flood", "alice", fmt.Sprint("guess ", i))
				mu.Lock()
				defer mu.Unlock()
				if ok {
					t.Error("a guess was right")
				}
				if waitOf(err) > 0 {
					refused++
				} else {
					wrong++
				}
			}()
		}
		synctest.Wait()
		began := time.Now()
		if ok, err := u.right(t.Context(), "home", "bob", "secret"); !ok || time.Since(began) != 0 {
			t.Errorf("bob, who is known, waits %s: %v", time.Since(began), err)
		}
		if ok, err := u.right(t.Context(), "elsewhere", "alice", "secret"); !ok || time.Since(began) > 2*time.Second {
			t.Errorf("alice waits %s: %v", time.Since(began), err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if wrong != 1+maxLine || refused != 100-wrong {
			t.Errorf("%d guesses were wrong, %d refused: %v", wrong, refused, order())
		}
	})
}

// Addresses take turns, whatever each of them has in line.
func TestLoginsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, order := slowUsers(t, 1, time.Second)
		try := func(network, password string) {
			go func() { _, _ = u.right(t.Context(), network, "alice", password) }()
			synctest.Wait()
		}
		for i := range 4 {
			try("a", fmt.Sprint("a", i))
		}
		try("b", "b0")
		try("b", "b1")
		try("c", "c0")
		time.Sleep(time.Minute)
		if want := []string{"a0", "b0", "c0", "a1", "b1", "a2", "a3"}; !slices.Equal(order(), want) {
			t.Errorf("compared %v, want %v", order(), want)
		}
	})
}

// Many wrong passwords cost their address time, and the server no more work; other addresses notice nothing.
func TestWrongPasswordsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, order := slowUsers(t, 2, 0)
		for i := range maxWrong {
			if _, err := u.right(t.Context(), "bad", fmt.Sprint("user", i), "guess"); err != nil {
				t.Fatalf("guess %d: %v", i, err)
			}
		}
		for range 1000 {
			if _, err := u.right(t.Context(), "bad", "alice", "secret"); waitOf(err) <= 0 || waitOf(err) > forgetAfter {
				t.Fatalf("past the bound: %v", err)
			}
		}
		if n := len(order()); n != maxWrong {
			t.Errorf("%d comparisons", n)
		}
		if ok, err := u.right(t.Context(), "good", "alice", "secret"); !ok {
			t.Error(err)
		}
		time.Sleep(forgetAfter)
		if ok, err := u.right(t.Context(), "bad", "bob", "secret"); !ok {
			t.Errorf("after a while: %v", err)
		}
	})
}

// However many addresses there are, the table stays small; who has guessed most is remembered longest.
func TestTableOfWrongPasswordsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogins(1)
		for range maxWrong {
			l.charge("worst")
		}
		for i := range 3 * maxDebts {
			l.charge(fmt.Sprint(i))
		}
		if len(l.debts) > maxDebts || l.owes("worst") == nil {
			t.Errorf("%d are remembered; the worst one owes %v", len(l.debts), l.owes("worst"))
		}
		time.Sleep(time.Hour)
		l.charge("new")
		if len(l.debts) != 1 {
			t.Errorf("%d are remembered an hour later", len(l.debts))
		}
	})
}

// Those that go away give up their places, and a password that was right is believed for an hour.
func TestLoginsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, order := slowUsers(t, 1, time.Second)
		gone, cancel := context.WithCancel(t.Context())
		go func() { _, _ = u.right(t.Context(), "x", "alice", "first") }()
		synctest.Wait()
		for _, network := range []string{"x", "x", "y", "z"} {
			go func() {
				if ok, err := u.right(gone, network, "alice", "late"); ok || !errors.Is(err, context.Canceled) {
					t.Errorf("got %t, %v", ok, err)
				}
			}()
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		if u.logins.total != 0 || len(u.logins.lines) != 0 || len(u.logins.turns) != 0 {
			t.Errorf("%d wait in %v", u.logins.total, u.logins.lines)
		}
		for range 2 {
			if ok, err := u.right(t.Context(), "x", "alice", "secret"); !ok {
				t.Error(err)
			}
		}
		time.Sleep(rememberFor)
		if ok, err := u.right(t.Context(), "x", "alice", "secret"); !ok {
			t.Error(err)
		}
		if want := []string{"first", "secret", "secret"}; !slices.Equal(order(), want) {
			t.Errorf("compared %v, want %v", order(), want)
		}
	})
}

// Over HTTP the bound is for an address, an IPv6 network, or what a known proxy says that it is.
func TestWrongPasswordsOverHTTP(t *testing.T) {
	for name, c := range map[string]struct {
		attacker, same, other func(*http.Request)
	}{
		"IPv4":   {from("192.0.2.1:1"), from("192.0.2.1:2"), from("192.0.2.2:1")},
		"IPv6":   {from("[2001:db8:0:1::1]:1"), from("[2001:db8:0:1:ffff::2]:1"), from("[2001:db8:0:2::1]:1")},
		"proxy":  {from("10.0.0.1:1", "192.0.2.1"), from("10.0.0.2:1", "192.0.2.1"), from("10.0.0.1:1", "192.0.2.2")},
		"forged": {from("192.0.2.1:1", "198.51.100.1"), from("192.0.2.1:2", "198.51.100.2"), from("192.0.2.2:1", "192.0.2.1")},
	} {
		s := newStack()
		s.Clients = NewClients(networks("10.0.0.0/8"), s.Log)
		var err error
		if s.Users, err = users(t, "alice:"+hashed(t, "secret")); err != nil {
			t.Fatal(err)
		}
		for i := range maxWrong {
			if w := s.do("GET", "/v2/", c.attacker, user("alice", fmt.Sprint("guess", i))); w.Code != http.StatusUnauthorized {
				t.Fatalf("%s: guess %d: %d", name, i, w.Code)
			}
		}
		w := s.do("GET", "/v2/", c.same, user("alice", "secret"))
		if wait, err := strconv.Atoi(w.Header().Get("Retry-After")); w.Code != http.StatusTooManyRequests || err != nil || wait < 1 || wait > 6 || !strings.Contains(w.Body.String(), `"TOOMANYREQUESTS"`) {
			t.Errorf("%s: the attacker gets %d %v %s", name, w.Code, w.Header(), w.Body)
		}
		if w := s.do("GET", "/v2/", c.other, user("alice", "secret")); w.Code != http.StatusTeapot {
			t.Errorf("%s: alice gets %d from elsewhere", name, w.Code)
		}
		if w := s.do("GET", "/v2/", c.same, user("alice", "secret")); w.Code != http.StatusTeapot {
			t.Errorf("%s: alice, who is known now, gets %d", name, w.Code)
		}
	}
}
