//go:build e2e

package cli

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// servers are the addresses of docker's registries, which all scripts share.
type servers struct {
	open   string
	closed string // asks for u and secret
}

// door is a script's own way to a registry: it counts what goes through, and
// fails on demand.
type door struct {
	proxy *httputil.ReverseProxy
	gone  chan struct{} // closed when the script ends

	mu    sync.Mutex
	seen  []string // "METHOD PATH?QUERY", but for uploadToken
	rules []*rule
}

// rule is an answer in place of the registry's.
type rule struct {
	method string
	url    *regexp.Regexp
	times  int // left; negative for always
	status int
	file   string // instead of a status: made when the request comes, which then gets no answer
}

func startServers(t *testing.T) *servers {
	t.Helper()
	return &servers{open: startRegistry(t), closed: startRegistry(t, "u", secret)}
}

// startRegistry starts docker's registry and returns its address.
func startRegistry(t *testing.T, login ...string) string {
	t.Helper()
	cmd := exec.Command("../../testdata/scripts/registry", append([]string{t.TempDir()}, login...)...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("starting the registry: %v", err)
	}
	return strings.TrimSpace(address)
}

// registry opens the script's door, and puts its address in REGISTRY:
//
//	registry [auth] [tls]
func (s *servers) registry(ts *testscript.TestScript, neg bool, args []string) {
	target := &url.URL{Scheme: "http", Host: s.open}
	if slices.Contains(args, "auth") {
		target.Host = s.closed
	}
	d := doorOf(ts)
	d.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // the registry's locations must lead here again
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	server := httptest.NewUnstartedServer(d)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail as they should
	if slices.Contains(args, "tls") {
		server.StartTLS()
	} else {
		server.Start()
	}
	ts.Defer(func() {
		close(d.gone)
		server.CloseClientConnections()
		server.Close()
	})
	ts.Setenv("REGISTRY", server.Listener.Addr().String())
}

// doorKey is where settle keeps a script's door.
type doorKey struct{}

func doorOf(ts *testscript.TestScript) *door { return ts.Value(doorKey{}).(*door) }

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rule := d.enter(r)
	switch {
	case rule == nil:
		d.proxy.ServeHTTP(w, r)
	case rule.file != "":
		_ = os.WriteFile(rule.file, nil, 0o644)
		select {
		case <-r.Context().Done():
		case <-d.gone:
		}
	default:
		// In the middle of a body, if there is one.
		_, _ = io.CopyN(io.Discard, r.Body, 1)
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(rule.status)
	}
}

// uploadToken is long, and says nothing to the reader of a list of requests.
var uploadToken = regexp.MustCompile(`_state=[^&]*&?`)

// enter notes a request, and returns the rule that is for it, if any.
func (d *door) enter(r *http.Request) *rule {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = append(d.seen, r.Method+" "+uploadToken.ReplaceAllString(r.URL.RequestURI(), ""))
	for _, rule := range d.rules {
		if rule.times != 0 && rule.method == r.Method && rule.url.MatchString(r.URL.RequestURI()) {
			rule.times--
			return rule
		}
	}
	return nil
}

func (d *door) add(ts *testscript.TestScript, r rule, pattern string) {
	var err error
	r.url, err = regexp.Compile(pattern)
	ts.Check(err)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rules = append(d.rules, &r)
}

// answer lets the next requests of a kind fail, or all of them:
//
//	answer STATUS TIMES|always METHOD PATTERN
func answer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: answer STATUS TIMES|always METHOD PATTERN")
	}
	status, err := strconv.Atoi(args[0])
	ts.Check(err)
	times := -1
	if args[1] != "always" {
		times, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	doorOf(ts).add(ts, rule{method: args[2], times: times, status: status}, args[3])
}

// stall lets the next request of a kind wait for ever, and makes FILE when it comes:
//
//	stall FILE METHOD PATTERN
func stall(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: stall FILE METHOD PATTERN")
	}
	doorOf(ts).add(ts, rule{method: args[1], times: 1, file: ts.MkAbs(args[0])}, args[2])
}

// requests wants a number of requests of a kind to have been made since the start, or since forget:
//
//	requests NUMBER|some METHOD PATTERN
func requests(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: requests NUMBER|some METHOD PATTERN")
	}
	pattern, err := regexp.Compile("^" + args[1] + " .*" + args[2])
	ts.Check(err)
	d := doorOf(ts)
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, request := range d.seen {
		if pattern.MatchString(request) {
			n++
		}
	}
	if strconv.Itoa(n) != args[0] && (args[0] != "some" || n == 0) {
		ts.Fatalf("%d requests, want %s, of\n%s", n, args[0], strings.Join(d.seen, "\n"))
	}
}

// forget drops the requests seen so far and all rules:
//
//	forget
func forget(ts *testscript.TestScript, _ bool, _ []string) {
	d := doorOf(ts)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen, d.rules = nil, nil
}

// login writes docker's configuration for the script's registry, and points DOCKER_CONFIG at it:
//
//	login USER PASSWORD
func login(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: login USER PASSWORD")
	}
	dir := filepath.Join(ts.Getenv("WORK"), ".docker")
	ts.Check(os.MkdirAll(dir, 0o755))
	auth := base64.StdEncoding.EncodeToString([]byte(args[0] + ":" + args[1]))
	config := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, ts.Getenv("REGISTRY"), auth)
	ts.Check(os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600))
	ts.Setenv("DOCKER_CONFIG", dir)
	ts.Setenv("REGISTRY_AUTH_FILE", filepath.Join(dir, "config.json")) // podman's and skopeo's name for it
}

// address puts the registry's address in place of the word REGISTRY in files:
//
//	address FILE…
func address(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: address FILE…")
	}
	for _, file := range args {
		text := strings.ReplaceAll(ts.ReadFile(file), "REGISTRY", ts.Getenv("REGISTRY"))
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o644))
	}
}
