package popularity

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/ulikunitz/xz"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"":                              0,
		"7":                             7 * time.Second,
		"-7":                            0,
		"soon":                          0,
		"99999999999":                   maxRetryAfter,
		"Sat, 21 Nov 2026 12:00:09 GMT": 9 * time.Second,
		"Sat, 21 Nov 2026 11:00:00 GMT": 0,
		"Sun, 22 Nov 2026 12:00:00 GMT": maxRetryAfter,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
	asked, ok := errors.AsType[*backoff.RetryAfterError](error(&statusError{429, 7 * time.Second}))
	if !ok || asked.Duration != 7*time.Second {
		t.Errorf("the wait that the server asks for is not heeded: %v", asked)
	}
	if _, ok := errors.AsType[*backoff.RetryAfterError](error(&statusError{503, 0})); ok {
		t.Error("a wait was asked for")
	}
}

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
		if isSafe(u) != want {
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
		err := noDowngrade(from(c.to), []*http.Request{from(c.from)})
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("from %s to %s: %v", c.from, c.to, err)
		}
	}
	if err := noDowngrade(from("https://a.org"), slices.Repeat([]*http.Request{from("https://a.org")}, 10)); err == nil {
		t.Error("it goes round for ever")
	}
}

func TestFetchIsBounded(t *testing.T) {
	s := serve(t, []byte("12345678"))
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	w := newFakeCache(t).cache().web()
	if body, _, err := w.fetch(t.Context(), u, 8, whole); err != nil || string(body) != "12345678" {
		t.Errorf("%q, %v", body, err)
	}
	if _, _, err := w.fetch(t.Context(), u, 7, whole); err == nil || !strings.Contains(err.Error(), "larger than 7 bytes") {
		t.Errorf("got %v", err)
	}
}

func compressed(t testing.TB, text string) []byte {
	t.Helper()
	var b strings.Builder
	w, err := xz.NewWriter(&b)
	if err == nil {
		if _, err = w.Write([]byte(text)); err == nil {
			err = w.Close()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return []byte(b.String())
}

// serve answers each request with body, after a redirect from /channel.
func serve(t *testing.T, body []byte) *httptest.Server {
	mux := http.NewServeMux()
	mux.Handle("/channel", http.RedirectHandler("/release?x=y", http.StatusFound))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.Write(body) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestStorePaths(t *testing.T) {
	list := paths("zlib-1.3", "bash-5.2", "zlib-1.3")
	text := string(list[0]) + "\n\n" + string(list[1]) + "\r\n" + string(list[2])
	want := paths("bash-5.2", "zlib-1.3")
	for _, data := range [][]byte{[]byte(text), compressed(t, text)} {
		file := filepath.Join(t.TempDir(), "list")
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		c := newFakeCache(t).cache()
		s := serve(t, data)
		for where, end := range map[string]string{file: file, s.URL + "/channel": s.URL + "/release"} {
			got, from, err := c.StorePaths(t.Context(), where)
			if err != nil || !cmp.Equal(got, want) || from != end {
				t.Errorf("%s: %v from %s, %v", where, got, from, err)
			}
		}
	}
}

func TestStorePathsRefused(t *testing.T) {
	c := newFakeCache(t).cache()
	good := string(path("bash-5.2")) + "\n"
	for text, want := range map[string]string{
		"":                                   "there are none",
		good + "/etc/passwd\n":               `line 2: "/etc/passwd" is not a store path`,
		string(compressed(t, good)[:40]):     "truncated or corrupt",
		string(compressed(t, "<html>\n")):    "line 1",
		string(compressed(t, good)) + "\x01": "truncated or corrupt",
	} {
		s := serve(t, []byte(text))
		_, _, err := c.StorePaths(t.Context(), s.URL+"/list?token=hunter2")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), s.URL+"/list") {
			t.Errorf("got %v, want %q", err, want)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a secret is in %v", err)
		}
	}
	for where, want := range map[string]string{
		"ftp://user:hunter2@x/y":      "want an http or https URL",
		"http://x y:hunter2/":         "want an http or https URL",
		t.TempDir() + "/not-there":    "no such file",
		newFakeCache(t).URL + "/gone": "404 Not Found",
	} {
		_, _, err := c.StorePaths(t.Context(), where)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v, want %q", where, err, want)
		}
	}
}
