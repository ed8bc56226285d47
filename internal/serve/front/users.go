package front

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"golang.org/x/crypto/bcrypt"

	"github.com/org/nixery-action/internal/plainfile"
)

// Users are names and bcrypt hashes of passwords. A nil *Users asks nobody for anything.
type Users struct {
	hashes map[string][]byte
	nobody []byte        // a hash of no password, so that a name that is not there takes as long as one that is
	slots  chan struct{} // bcrypt is slow on purpose: a flood of guesses must not take all cores

	key   [32]byte // of this process, so that what is remembered is of no use to who reads memory later
	mu    sync.Mutex
	known map[[32]byte]bool // names with passwords that were right
}

// The bounds of a file, and of what is remembered.
const (
	largestHtpasswd = 1 << 20
	mostKnown       = 1024
	bcryptAtOnce    = 2
	// A hash of cost 16 takes some seconds.
	highestCost = 15
)

// ReadUsers reads a file as htpasswd -B writes it, https://httpd.apache.org/docs/2.4/programs/htpasswd.html. Hashes other than bcrypt's
// are refused: they can be guessed.
func ReadUsers(file string) (*Users, error) {
	f, err := plainfile.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading users: %w", err)
	}
	defer f.Close()
	u := &Users{hashes: map[string][]byte{}, known: map[[32]byte]bool{}, slots: make(chan struct{}, bcryptAtOnce)}
	_, _ = rand.Read(u.key[:])
	lines := bufio.NewScanner(io.LimitReader(f, largestHtpasswd))
	highest := bcrypt.MinCost
	for n := 1; lines.Scan(); n++ {
		cost, err := u.add(strings.TrimSpace(lines.Text()))
		if err != nil {
			return nil, fmt.Errorf("reading users: %s:%d: %w", file, n, err)
		}
		highest = max(highest, cost)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading users: %s: %w", file, err)
	}
	if len(u.hashes) == 0 {
		return nil, fmt.Errorf("reading users: %s has none; add one with htpasswd -B %s NAME", file, file)
	}
	u.nobody, err = bcrypt.GenerateFromPassword([]byte(rand.Text()), highest)
	return u, err
}

func (u *Users) add(line string) (cost int, err error) {
	if line == "" || strings.HasPrefix(line, "#") {
		return 0, nil
	}
	name, hash, ok := strings.Cut(line, ":")
	if !ok || name == "" {
		return 0, errors.New("want name:hash")
	}
	cost, err = bcrypt.Cost([]byte(hash))
	switch {
	case err != nil:
		return 0, fmt.Errorf("the password of %.100q is not hashed by bcrypt; use htpasswd -B", name)
	case cost > highestCost:
		return 0, fmt.Errorf("the hash of %.100q has cost %d; more than %d takes too long", name, cost, highestCost)
	}
	u.hashes[name] = []byte(hash)
	return cost, nil
}

// right tells whether a user has this password.
func (u *Users) right(ctx context.Context, name, password string) bool {
	print := u.fingerprint(name, password)
	if u.remembers(print) {
		return true
	}
	select {
	case u.slots <- struct{}{}:
		defer func() { <-u.slots }()
	case <-ctx.Done():
		return false
	}
	hash, ok := u.hashes[name]
	if !ok {
		hash = u.nobody
	}
	if err := bcrypt.CompareHashAndPassword(hash, []byte(password)); err != nil || !ok {
		return false
	}
	u.remember(print)
	return true
}

func (u *Users) fingerprint(name, password string) (sum [32]byte) {
	mac := hmac.New(sha256.New, u.key[:])
	fmt.Fprintf(mac, "%d:%s%s", len(name), name, password)
	return [32]byte(mac.Sum(nil))
}

func (u *Users) remembers(print [32]byte) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.known[print]
}

// remember is called for what is right only: guesses do not fill the memory.
func (u *Users) remember(print [32]byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.known) >= mostKnown {
		clear(u.known)
	}
	u.known[print] = true
}

// guard lets only users through. The answer to others is what docker login understands.
func (u *Users) guard(next http.Handler) http.Handler {
	if u == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, password, ok := r.BasicAuth()
		if ok && u.right(r.Context(), name, password) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Docker-Distribution-API-Version", "registry/2.0")
		w.Header().Set("WWW-Authenticate", `Basic realm="nixery"`)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"this registry asks for a name and a password"}]}`+"\n")
	})
}
