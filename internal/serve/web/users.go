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
	"math"
	"net/http"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/org/nixery-action/internal/plainfile"
)

// Users are names and bcrypt hashes of passwords. A nil *Users asks nobody for anything.
type Users struct {
	hashes  map[string][]byte
	highest int // cost of a hash
	logins  *logins
	compare func(hash, password []byte) error // as bcrypt.CompareHashAndPassword
	salt    string                            // of the hashes of no password

	key   [32]byte // of this process, so that what is remembered is of no use to who reads memory later
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
