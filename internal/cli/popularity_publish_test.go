package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The whole way of a new table, against a GitHub that says yes; package proposal
// tests the requests.
func TestPublishTable(t *testing.T) {
	var calls []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		calls = append(calls, r.Method+" "+r.URL.Path)
		switch {
		case r.Header.Get("Authorization") != "Bearer hunter2":
			http.Error(w, "{}", http.StatusUnauthorized)
		case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/pulls"), strings.HasSuffix(r.URL.Path, "/3/assets") && r.Method == http.MethodGet:
			io.WriteString(w, "[]")
		case strings.HasSuffix(r.URL.Path, "/pulls"):
			if !strings.Contains(string(body), "the verdict") {
				t.Errorf("the pull request is %s", body)
			}
			io.WriteString(w, `{"html_url": "https://github.com/acme/box/pull/7"}`)
		case strings.HasSuffix(r.URL.Path, "/git/trees"):
			io.WriteString(w, `{"sha": "new"}`)
		default:
			io.WriteString(w, fmt.Sprintf(`{"id": 3, "sha": "s%d", "object": {"sha": "c"}, "tree": {"sha": "t"}, "browser_download_url": "https://github.com/a/t.gz"}`, len(calls)))
		}
	}))
	defer api.Close()
	t.Chdir(t.TempDir())
	for name, content := range map[string]string{"table.json.gz": "x", "verdict.md": "the verdict"} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GITHUB_API_URL", api.URL+"/api/v3")
	t.Setenv("GITHUB_TOKEN", "hunter2")
	args := []string{"popularity", "publish", "--repository", "acme/box", "--file", "table.json.gz", "--body", "verdict.md", "--asset", "table.json.gz"}
	stdout, stderr, err := executed(t.Context(), args...)
	if err != nil || stdout != "https://github.com/acme/box/pull/7\nhttps://github.com/a/t.gz\n" {
		t.Errorf("%q, %v\n%s", stdout, err, strings.Join(calls, "\n"))
	}
	if strings.Contains(stdout+stderr, "hunter2") {
		t.Error("the token is in the log")
	}
	t.Setenv("GITHUB_TOKEN", "other")
	if _, _, err = executed(t.Context(), args...); err == nil || strings.Contains(err.Error(), "other") {
		t.Errorf("got %v", err)
	}
}

func TestPublishTableRefuses(t *testing.T) {
	t.Setenv("GITHUB_TOKEN", "")
	outside := filepath.Join(t.TempDir(), "table")
	for want, args := range map[string][]string{
		"want a token in GITHUB_TOKEN": {"--repository", "acme/box"},
		"want OWNER/NAME":              {"--repository", "acme"},
		"below the repository's root":  {"--repository", "acme/box", "--file", outside},
		"no such file":                 {"--repository", "acme/box", "--file", "none"},
		"open none.md: no such file":   {"--repository", "acme/box", "--body", "none.md"},
	} {
		_, _, err := executed(t.Context(), append([]string{"popularity", "publish"}, args...)...)
		if err == nil || !strings.Contains(err.Error(), want) || !isBadInput(err) {
			t.Errorf("%q: got %v, want %q", args, err, want)
		}
	}
}
