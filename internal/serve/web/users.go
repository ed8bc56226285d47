package web

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/org/nixery-action/internal/plainfile"
)

// Users are names and bcrypt hashes of passwords. A nil *Users lets every request pass.
type Users struct {
	hashes  map[string][]byte
	highest int // cost of a hash
	logins  *logins
	compare func(hash, password []byte) error // as bcrypt.CompareHashAndPassword
	salt    string                            // of the hashes of no password

	key   [32]byte // of this process, so that what is remembered is of no use in another process
	mu    sync.Mutex
	known map[string]login // the last right one of each user
}

// login is a name with a password that was right.
type login struct {
	print [32]byte
	until time.Time
}

// The bounds of a file, and how long a right password is remembered.
const (
	maxHtpasswd = 1 << 20
	rememberFor = time.Hour
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
	content, err := io.ReadAll(io.LimitReader(f, maxHtpasswd+1))
	if err != nil {
		return nil, fmt.Errorf("reading users: %s: %w", file, err)
	}
	if len(content) > maxHtpasswd {
		return nil, fmt.Errorf("reading users: %s is larger than %d bytes", file, maxHtpasswd)
	}
	u := &Users{
		hashes: map[string][]byte{}, known: map[string]login{}, compare: bcrypt.CompareHashAndPassword,
		salt: strings.Repeat(rand.Text(), 3)[:hashDigits],
		// Half of the cores are left to what else there is to do.
		logins: newLogins(max(1, runtime.GOMAXPROCS(0)/2)),
	}
	_, _ = rand.Read(u.key[:])
	lines := bufio.NewScanner(strings.NewReader(string(content)))
	for n := 1; lines.Scan(); n++ {
		if err := u.add(strings.TrimSpace(lines.Text())); err != nil {
			return nil, fmt.Errorf("reading users: %s:%d: %w", file, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading users: %s: %w", file, err)
	}
	if len(u.hashes) == 0 {
		return nil, fmt.Errorf("reading users: %s has none; add one with htpasswd -B %s NAME", file, file)
	}
	return u, nil
}

// hashDigits is how many digits follow the cost: 22 of the salt, 31 of the hash.
const hashDigits = 53

var hashForm = regexp.MustCompile(`^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

func (u *Users) add(line string) error {
	if line == "" || strings.HasPrefix(line, "#") {
		return nil
	}
	name, hash, ok := strings.Cut(line, ":")
	if !ok || name == "" {
		return errors.New("want name:hash")
	}
	if _, twice := u.hashes[name]; twice {
		return fmt.Errorf("%.100q is there twice", name)
	}
	cost, err := bcrypt.Cost([]byte(hash))
	switch {
	case err != nil || !hashForm.MatchString(hash):
		return fmt.Errorf("the password of %.100q is not hashed by bcrypt; use htpasswd -B", name)
	case cost > highestCost:
		return fmt.Errorf("the hash of %.100q has cost %d; more than %d takes too long", name, cost, highestCost)
	}
	u.hashes[name] = []byte(hash)
	u.highest = max(u.highest, cost)
	return nil
}

// right reports whether a user has this password. A password that was right lately costs nothing. The error is a tooManyError, or the
// context's.
func (u *Users) right(ctx context.Context, network, name, password string) (bool, error) {
	print := u.fingerprint(name, password)
	if u.remembers(name, print) {
		return true, nil
	}
	right, err := u.logins.do(ctx, network, func() bool { return u.check(name, password) })
	if right {
		u.remember(name, print)
	}
	return right, err
}

// check compares. It does the work of the highest cost for every name: time tells neither which names exist nor which hash is cheap.
// A hash of cost n takes 2ⁿ rounds, so one of cost c and then one of each cost from c to the highest less one take as many as
// one of the highest.
func (u *Users) check(name, password string) bool {
	hash, ok := u.hashes[name]
	if !ok {
		_ = u.compare(u.nothing(u.highest), []byte(password))
		return false
	}
	err := u.compare(hash, []byte(password))
	cost, _ := bcrypt.Cost(hash) // it was read before
	for ; cost < u.highest; cost++ {
		_ = u.compare(u.nothing(cost), []byte(password))
	}
	return err == nil
}

// nothing is a hash that no password is known of.
func (u *Users) nothing(cost int) []byte { return fmt.Appendf(nil, "$2a$%02d$%s", cost, u.salt) }

func (u *Users) fingerprint(name, password string) (sum [32]byte) {
	mac := hmac.New(sha256.New, u.key[:])
	fmt.Fprintf(mac, "%d:%s%s", len(name), name, password)
	return [32]byte(mac.Sum(nil))
}

func (u *Users) remembers(name string, print [32]byte) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	known, ok := u.known[name]
	return ok && hmac.Equal(known.print[:], print[:]) && u.logins.now().Before(known.until)
}

// remember is called for what is right only, one a user: guesses do not fill the memory.
func (u *Users) remember(name string, print [32]byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.known[name] = login{print, u.logins.now().Add(rememberFor)}
}

// guard lets only users through. The answer to others is what docker login understands.
func (u *Users) guard(clients *Clients, next http.Handler) http.Handler {
	if u == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, password, ok := r.BasicAuth()
		var err error
		if ok {
			ok, err = u.right(r.Context(), networkOf(clients.address(r)), name, password)
		}
		switch wait := waitOf(err); {
		case ok:
			next.ServeHTTP(w, as(r, "user "+name))
		case wait > 0:
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
			refuse(w, http.StatusTooManyRequests, "TOOMANYREQUESTS", "too many wrong passwords, or logins at a time, from your address; try again later")
		default:
			w.Header().Set("WWW-Authenticate", `Basic realm="nixery"`)
			refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "this registry asks for a name and a password")
		}
	})
}

// refuse answers with an error of the distribution specification.
func refuse(w http.ResponseWriter, status int, code, message string) {
	content, err := json.Marshal(map[string]any{"errors": []any{map[string]string{"code": code, "message": message}}})
	if err != nil {
		content = []byte(`{"errors":[{"code":"UNKNOWN"}]}`)
	}
	w.Header().Set("Docker-Distribution-API-Version", "registry/2.0")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(content, '\n'))
}

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
