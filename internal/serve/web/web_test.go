package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/org/nixery-action/internal/serve"
)

// stack is a whole front, and its log.
type stack struct {
	Options
	log bytes.Buffer
}

func newStack() *stack {
	s := &stack{}
	log := slog.New(NewLog(&s.log, slog.LevelDebug, "v1.2.3"))
	registry := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "registry "+r.URL.Path)
	})
	s.Options = Options{
		Registry: registry, Page: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page") }),
		Metrics: NewMetrics("v1.2.3"), Ready: NewReadiness(log), Log: log, Structured: true,
	}
	return s
}

func (s *stack) do(method, target string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, target, nil)
	for _, c := range change {
		c(r)
	}
	Handler(s.Options).ServeHTTP(w, r)
	return w
}

func user(name, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(name, password) }
}

func TestRoutes(t *testing.T) {
	s := newStack()
	for target, want := range map[string]struct {
		status int
		body   string
	}{
		"/":                         {200, "page"},
		"/?packages=x":              {200, "page"},
		"/healthz":                  {200, "ok"},
		"/readyz":                   {200, "ready"},
		"/metrics":                  {200, `nixery_version{version="v1.2.3"} 1`},
		"/v2":                       {418, "registry /v2"},
		"/v2/":                      {418, "registry /v2/"},
		"/v2/a//b/../manifests/x?y": {418, "registry /v2/a//b/../manifests/x"},
		"/v2x":                      {404, "not found"},
		"/favicon.ico":              {404, "not found"},
		"/metrics/":                 {404, "not found"},
	} {
		if w := s.do("GET", target); w.Code != want.status || !strings.Contains(w.Body.String(), want.body) {
			t.Errorf("%s: %d %.200s", target, w.Code, w.Body)
		}
	}
	for _, target := range []string{"/", "/healthz", "/readyz", "/metrics"} {
		if w := s.do("POST", target); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: %d", target, w.Code)
		}
	}
	if w := s.do("DELETE", "/v2/a/manifests/b"); w.Code != http.StatusTeapot {
		t.Errorf("the registry answers for itself, not %d", w.Code)
	}
}

// No handler reads bodies, so none waits for one that comes slowly.
func TestBodiesEndTheConnection(t *testing.T) {
	w := httptest.NewRecorder()
	Handler(newStack().Options).ServeHTTP(w, httptest.NewRequest("GET", "/v2/", strings.NewReader("body")))
	if w.Header().Get("Connection") != "close" {
		t.Errorf("headers are %v", w.Header())
	}
}

func users(t *testing.T, lines ...string) (*Users, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return ReadUsers(file)
}

func hashed(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

func TestPasswords(t *testing.T) {
	s := newStack()
	var err error
	// htpasswd writes $2y$.
	if s.Users, err = users(t, "# who may pull", "", "alice:"+strings.Replace(hashed(t, "s:ecret"), "$2a$", "$2y$", 1), "bob:"+hashed(t, "other")); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/", "/v2/", "/v2/git/manifests/latest", "/metrics"} {
		for _, change := range []func(*http.Request){
			func(*http.Request) {}, user("alice", "wrong"), user("alice", "other"), user("carol", "s:ecret"), user("", ""),
			func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") },
		} {
			w := s.do("GET", target, change)
			if w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") != `Basic realm="nixery"` || !strings.Contains(w.Body.String(), `"UNAUTHORIZED"`) {
				t.Errorf("%s: %d %v", target, w.Code, w.Header())
			}
		}
		for range 2 { // the second time from memory
			if w := s.do("GET", target, user("alice", "s:ecret")); w.Code == http.StatusUnauthorized {
				t.Errorf("%s: alice may not", target)
			}
		}
	}
	for _, target := range []string{"/healthz", "/readyz"} {
		if w := s.do("GET", target); w.Code != http.StatusOK {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
	if w := s.do("GET", "/v2/", user("bob", "other")); w.Code != http.StatusTeapot {
		t.Errorf("bob: %d", w.Code)
	}
	if len(s.Users.known) != 2 {
		t.Errorf("%d passwords are remembered, want the two that were right", len(s.Users.known))
	}
	for _, secret := range []string{"s:ecret", "other", "wrong"} {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("%s is in the log", secret)
		}
	}
}

func TestBadUsers(t *testing.T) {
	for says, lines := range map[string][]string{
		"users:1: want name:hash":                             {"alice"},
		`users:2: the password of "bob" is not hashed`:        {"alice:" + hashed(t, "x"), "bob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="},
		"has none; add one with htpasswd -B":                  {"# no user"},
		`users:2: "bob" is there twice`:                       {"bob:" + hashed(t, "x"), "bob:" + hashed(t, "y")},
		`users:1: the password of "eve" is not hashed`:        {"eve:$2a$04$" + strings.Repeat("#", 53)},
		"is larger than":                                      {strings.Repeat("#", maxHtpasswd+1)},
		`users:1: the hash of "alice" has cost 31; more than`: {"alice:$2y$31$" + strings.Repeat("a", 53)},
	} {
		if _, err := users(t, lines...); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error does not say %q: %v", says, err)
		}
	}
	if _, err := ReadUsers("/nonexistent"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}

func TestReadiness(t *testing.T) {
	s := newStack()
	var fails error
	calls := 0
	s.Ready = NewReadiness(s.Log, Check{Name: "storage", Do: func(context.Context) error { calls++; return fails }})
	now := time.Unix(1e9, 0)
	s.Ready.now = func() time.Time { return now }
	ask := func(status int, body string) {
		t.Helper()
		if w := s.do("GET", "/readyz"); w.Code != status || w.Body.String() != body {
			t.Errorf("%d %q, want %d %q", w.Code, w.Body, status, body)
		}
	}
	ask(200, "ready\n")
	fails = errors.New("secret bucket is out of reach")
	ask(200, "ready\n")
	now = now.Add(answerHolds)
	ask(503, "not ready: storage\n")
	if calls != 2 || !strings.Contains(s.log.String(), "secret bucket is out of reach") {
		t.Errorf("%d calls; log:\n%s", calls, &s.log)
	}
	fails, now = nil, now.Add(answerHolds)
	ask(200, "ready\n")
	s.Ready.Leave()
	ask(503, "not ready: shutting down\n")
	if w := s.do("GET", "/healthz"); w.Code != 200 {
		t.Errorf("alive: %d", w.Code)
	}
}

// A check that hangs, whatever its context says, is an answer in time, and is not begun over and over.
func TestReadinessOfWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStack()
		calls, goOn := 0, make(chan struct{})
		s.Ready = NewReadiness(s.Log, Check{Name: "storage", Do: func(context.Context) error { calls++; <-goOn; return nil }})
		for range 3 {
			began := time.Now()
			if w := s.do("GET", "/readyz"); w.Code != 503 || time.Since(began) > checkTime {
				t.Errorf("%d after %s", w.Code, time.Since(began))
			}
			time.Sleep(answerHolds)
		}
		close(goOn)
		synctest.Wait()
		if w := s.do("GET", "/readyz"); w.Code != 200 || calls != 2 {
			t.Errorf("%d after %d checks", w.Code, calls)
		}
	})
}

// entry is a line of the log as Google's service reads it.
type entry struct {
	Severity, Message, Time string
	Type                    string `json:"@type"`
	ServiceContext          struct{ Service, Version string }
	HTTPRequest             struct {
		RequestMethod, RequestURL, UserAgent, RemoteIP, Latency, ResponseSize string
		Status                                                                int
	}
	Cause      string
	StackTrace string `json:"stack_trace"`
}

func entries(t *testing.T, log *bytes.Buffer) (all []entry) {
	t.Helper()
	for line := range strings.Lines(log.String()) {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		all = append(all, e)
	}
	return all
}

func TestLogForGoogle(t *testing.T) {
	s := newStack()
	s.do("GET", "/v2/git/manifests/latest?token=hunter2", func(r *http.Request) { r.Header.Set("User-Agent", "docker/99"); r.RemoteAddr = "10.0.0.7:1234" })
	s.do("GET", "/healthz")
	s.Log.Warn("the build failed", "cause", errors.New("no such package"))
	s.Log.With("build", 1).Error("broken")
	all := entries(t, &s.log)
	if len(all) != 4 {
		t.Fatalf("the log is\n%s", &s.log)
	}
	request := all[0].HTTPRequest
	if request.RequestMethod != "GET" || request.RequestURL != "/v2/git/manifests/latest" || request.Status != 418 || request.UserAgent != "docker/99" ||
		request.RemoteIP != "10.0.0.7" || !strings.HasSuffix(request.Latency, "s") || request.ResponseSize != "33" {
		t.Errorf("the request is %+v", request)
	}
	for i, severity := range []string{"INFO", "DEBUG", "WARNING", "ERROR"} {
		e := all[i]
		if _, err := time.Parse(time.RFC3339Nano, e.Time); err != nil || e.Severity != severity || e.ServiceContext.Version != "v1.2.3" || e.ServiceContext.Service != "nixery-action" {
			t.Errorf("entry %d: %+v", i, e)
		}
		if strings.HasSuffix(e.Type, "ReportedErrorEvent") != (severity == "ERROR") {
			t.Errorf("entry %d is of type %q", i, e.Type)
		}
	}
	if all[2].Message != "the build failed" || all[2].Cause != "no such package" || strings.Contains(s.log.String(), "hunter2") {
		t.Errorf("the log is\n%s", &s.log)
	}
}

// A panic costs one client its answer, and is told with where it was.
func TestPanicIsAnError(t *testing.T) {
	s := newStack()
	s.Registry = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("an unforeseen case") })
	s.Page = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for _, target := range []string{"/v2/", "/"} {
		func() {
			defer func() {
				if value := recover(); value != http.ErrAbortHandler {
					t.Errorf("%s panics with %v", target, value)
				}
			}()
			s.do("GET", target)
		}()
	}
	all := entries(t, &s.log)
	if all[0].Severity != "ERROR" || all[0].Cause != "panic: an unforeseen case" || !strings.Contains(all[0].StackTrace, "TestPanicIsAnError") {
		t.Errorf("the panic is told as %+v", all[0])
	}
	if all[1].Severity != "WARNING" || !strings.HasSuffix(all[1].Message, "and was cut") || all[1].StackTrace != "" {
		t.Errorf("a cut answer is told as %+v", all[1])
	}
}

func TestMetrics(t *testing.T) {
	s := newStack()
	s.Metrics.Watch(func() (int, int) { return 3, 7 })
	hooks := s.Metrics.Hooks()
	began := time.Unix(1e9, 0)
	hooks.Ended(serve.Build{Phase: serve.Done, Began: began, Ended: began.Add(3 * time.Second)})
	hooks.Ended(serve.Build{Phase: serve.Failed, Began: began, Ended: began})
	hooks.Resolved(true)
	hooks.Resolved(false)
	hooks.Sent(serve.Blob, 1000)
	s.Metrics.Stored(500)
	s.do("GET", "/v2/a/blobs/sha256:x")
	s.do("BREW", "/v2/a/manifests/x")
	text := s.do("GET", "/metrics").Body.String()
	for _, line := range []string{
		`nixery_builds_total{result="done"} 1`, `nixery_builds_total{result="failed"} 1`, `nixery_builds_running 3`, `nixery_builds_waiting 7`,
		`nixery_build_duration_seconds_sum 3`, `nixery_tag_lookups_total{cache="hit"} 1`, `nixery_tag_lookups_total{cache="miss"} 1`,
		`nixery_sent_bytes_total{kind="blob"} 1000`, `nixery_stored_bytes_total 500`,
		`nixery_http_requests_total{code="418",kind="blob",method="GET"} 1`, `nixery_http_requests_total{code="418",kind="manifest",method="other"} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no %s in\n%s", line, text)
		}
	}
}

// What handlers know of the connection, they know through the log too.
func TestResponseControllerSeesThrough(t *testing.T) {
	s := newStack()
	s.Registry = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Error(err)
		}
	})
	server := httptest.NewServer(Handler(s.Options))
	defer server.Close()
	answer, err := http.Get(server.URL + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK || answer.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d %v", answer.StatusCode, answer.Header)
	}
}
