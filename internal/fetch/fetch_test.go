package fetch

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/org/nixery-action/internal/retry"
)

func TestIsSafe(t *testing.T) {
	for text, want := range map[string]bool{
		"https://example.org/x":      true,
		"http://127.0.0.1:80/x":      true,
		"http://[::1]/x":             true,
		"http://localhost:8080/x":    true,
		"http://example.org/x":       false,
		"http://127.0.0.1.evil.org/": false,
		"http://localhost.evil.org/": false,
		"ftp://127.0.0.1/":           false,
		"https:///x":                 false,
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if IsSafe(u) != want {
			t.Errorf("%s: safe is %v", text, !want)
		}
	}
}

func TestNoDowngrade(t *testing.T) {
	from := func(text string) *http.Request {
		req, err := http.NewRequest(http.MethodGet, text, nil)
		if err != nil {
			t.Fatal(err)
		}
		return req
	}
	for _, c := range []struct {
		from, to, want string
	}{
		{"https://a.org/x", "https://b.org/y", ""},
		{"https://a.org/x", "http://b.org/y?token=hunter2", "redirects to http://b.org/y, where"},
		{"http://127.0.0.1/x", "http://b.org/y", "redirects to http://b.org/y, where"},
		{"http://a.org/x", "http://b.org/y", ""},
	} {
		err := checkRedirect(from(c.to), []*http.Request{from(c.from)})
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("from %s to %s: %v", c.from, c.to, err)
		}
	}
	if err := checkRedirect(from("https://a.org"), slices.Repeat([]*http.Request{from("https://a.org")}, 10)); err == nil {
		t.Error("it goes round for ever")
	}
}

// server answers the n-th request, from 1, by a function, and says how many there were.
func server(t *testing.T, answer func(w http.ResponseWriter, n int)) (u *url.URL, requests *int) {
	t.Helper()
	requests = new(int)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*requests++
		answer(w, *requests)
	}))
	t.Cleanup(s.Close)
	u, err := Parse(strings.Replace(s.URL, "://", "://user:hunter2@", 1) + "/file?token=hunter2")
	if err != nil {
		t.Fatal(err)
	}
	return u, requests
}

func hasty() *Client {
	return New(Options{Agent: "test", Retry: retry.Policy{First: time.Microsecond}})
}

func TestGet(t *testing.T) {
	whole := func(w http.ResponseWriter) { io.WriteString(w, "12345678") }
	for name, c := range map[string]struct {
		answer   func(w http.ResponseWriter, n int)
		check    func([]byte) error
		limit    int64
		want     string // of the error
		requests int
	}{
		"at once":    {answer: func(w http.ResponseWriter, _ int) { whole(w) }, limit: 8, requests: 1},
		"too large":  {answer: func(w http.ResponseWriter, _ int) { whole(w) }, limit: 7, want: "larger than 7 bytes", requests: 1},
		"not found":  {answer: func(w http.ResponseWriter, _ int) { w.WriteHeader(404) }, limit: 8, want: "404 Not Found", requests: 1},
		"busy twice": {answer: func(w http.ResponseWriter, n int) { w.WriteHeader([]int{429, 503, 200}[n-1]); whole(w) }, limit: 2000, requests: 3},
		"asks for an hour": {answer: func(w http.ResponseWriter, _ int) { w.Header().Set("Retry-After", "3600"); w.WriteHeader(429) },
			limit: 8, want: "429", requests: 1},
		"cut by the connection": {answer: func(w http.ResponseWriter, n int) {
			if w.Header().Set("Content-Length", "8"); n == 1 {
				io.WriteString(w, "123")
				panic(http.ErrAbortHandler)
			}
			whole(w)
		}, limit: 8, requests: 2},
		"cut in its text": {answer: func(w http.ResponseWriter, _ int) { whole(w) }, check: func([]byte) error { return ErrCut }, limit: 8,
			want: "cut off", requests: 5},
		"another text": {answer: func(w http.ResponseWriter, _ int) { whole(w) }, check: func([]byte) error { return errors.New("no table") }, limit: 8,
			want: "no table", requests: 1},
	} {
		t.Run(name, func(t *testing.T) {
			u, requests := server(t, c.answer)
			body, from, err := hasty().Get(t.Context(), u, c.limit, c.check)
			if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2")) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if err == nil && (string(body) != "12345678" || from.Host != u.Host) {
				t.Errorf("got %q from %s", body, from)
			}
			if *requests != c.requests {
				t.Errorf("%d requests, want %d", *requests, c.requests)
			}
		})
	}
}

func TestNoSecretInErrors(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	u, err := Parse(strings.Replace(s.URL, "://", "://user:hunter2@", 1) + "/?token=hunter2")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := hasty().Get(t.Context(), u, 1, nil); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
	if _, err := Parse("https://user:hunter2@%zz"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
	if _, err := Parse("file:///etc/passwd"); err == nil {
		t.Error("a file is fetched")
	}
}
