package proposal

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

const token = "ghp_hunter2"

// fakeGitHub answers requests from a table, "METHOD path" ▶ JSON; what is not in
// it is 404. It remembers what was asked, with the bodies.
type fakeGitHub struct {
	*httptest.Server
	answers map[string]string
	status  map[string]int // instead of 200

	mu    sync.Mutex
	calls []string
}

func newFakeGitHub(t *testing.T, answers map[string]string) *fakeGitHub {
	f := &fakeGitHub{answers: answers, status: map[string]int{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeGitHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	call := r.Method + " " + strings.TrimPrefix(r.URL.RequestURI(), "/api")
	f.mu.Lock()
	f.calls = append(f.calls, strings.TrimSpace(call+" "+squeeze(body)))
	f.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer "+token {
		http.Error(w, `{"message": "Bad credentials"}`, http.StatusUnauthorized)
		return
	}
	if status, ok := f.status[call]; ok {
		w.WriteHeader(status)
	}
	answer, ok := f.answers[call]
	if !ok {
		http.Error(w, `{"message": "Not Found"}`, http.StatusNotFound)
		return
	}
	fmt.Fprint(w, answer)
}

// squeeze is JSON without what only makes it long to compare.
func squeeze(body []byte) string {
	var value any
	if json.Unmarshal(body, &value) != nil {
		return string(body)
	}
	text, _ := json.Marshal(value)
	return string(text)
}

func (f *fakeGitHub) open(t *testing.T) *Repository {
	t.Helper()
	r, err := Open("acme/box", f.URL+"/api/v3", token)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// want compares all requests made.
func (f *fakeGitHub) want(t *testing.T, calls ...string) {
	t.Helper()
	if got, want := strings.Join(f.calls, "\n"), strings.Join(calls, "\n"); got != want {
		t.Errorf("requests:\n%s\nwant:\n%s", got, want)
	}
}
