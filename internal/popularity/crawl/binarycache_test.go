package crawl

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ulikunitz/xz"
)

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
