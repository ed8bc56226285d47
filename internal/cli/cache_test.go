package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/org/nixery-action/internal/cache"
)

// keptDirectory has two ledgers of one lane, and a file of another program.
func keptDirectory(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	lane := cache.Identity{Image: "box"}.Scope("")
	for name, size := range map[string]int{
		cache.Name{Scope: lane, Serial: 1}.String(): 1000, cache.Name{Scope: lane, Serial: 2}.String(): 2000, "nixery1-notes": 5,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func files(t *testing.T, dir string) int {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestCacheListDirectory(t *testing.T) {
	t.Setenv("GITHUB_TOKEN", "")
	dir := keptDirectory(t)
	stdout, _, err := executed(t.Context(), "cache", "list", "--dir", dir)
	lines := strings.Split(stdout, "\n")
	if err != nil || len(lines) != 5 || !strings.Contains(lines[1], "  2       2.0 kB  0m ago  0m ago") ||
		lines[3] != "directory "+dir+": 2 entries, 3.0 kB" {
		t.Errorf("%v\n%s", err, stdout)
	}
	stdout, _, err = executed(t.Context(), "cache", "list", "--dir", dir, "--format", "json")
	var list struct {
		Size    int64
		Entries []struct {
			Name, Kind, Lane, Made string
			Size                   int64
		}
	}
	if err != nil || json.Unmarshal([]byte(stdout), &list) != nil || list.Size != 3000 || len(list.Entries) != 2 ||
		list.Entries[0].Size != 2000 || list.Entries[0].Kind != "ledger" || list.Entries[0].Made == "" {
		t.Errorf("%v\n%s", err, stdout)
	}
}

func TestCachePruneDirectory(t *testing.T) {
	t.Setenv("GITHUB_TOKEN", "")
	dir := keptDirectory(t)
	prune := []string{"cache", "prune", "--dir", dir}
	stdout, _, err := executed(t.Context(), prune...)
	if err != nil || files(t, dir) != 3 || !strings.HasSuffix(stdout, ": 1 entry, 1.0 kB of 2 entries, 3.0 kB would be removed; --yes does it; 2.0 kB stay\n") {
		t.Errorf("a dry run: %v, %d files\n%s", err, files(t, dir), stdout)
	}
	stdout, _, err = executed(t.Context(), append(prune, "--yes")...)
	if err != nil || files(t, dir) != 2 || !strings.HasSuffix(stdout, "removed; 2.0 kB stay\n") {
		t.Errorf("%v, %d files\n%s", err, files(t, dir), stdout)
	}
	stdout, _, err = executed(t.Context(), append(prune, "--yes")...)
	if err != nil || files(t, dir) != 2 || !strings.HasSuffix(stdout, ": 1 entry, 2.0 kB, and none to remove\n") {
		t.Errorf("again: %v, %d files\n%s", err, files(t, dir), stdout)
	}
	stdout, _, err = executed(t.Context(), append(prune, "--format", "json")...)
	if err != nil || !strings.Contains(stdout, `"removed": false`) || !strings.Contains(stdout, `"entries": []`) || !strings.Contains(stdout, `"left": 2000`) {
		t.Errorf("%v\n%s", err, stdout)
	}
}

// The Actions cache is that of the workflow's repository, at its API; package cache tests the requests.
func TestCachePruneOnGitHub(t *testing.T) {
	var requests []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests = append(requests, r.Method+" "+r.URL.Path)
		if r.Header.Get("Authorization") != "Bearer "+secret {
			t.Errorf("authorization is %q", r.Header.Get("Authorization"))
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"message": "Resource not accessible by integration"}`)
	}))
	defer api.Close()
	t.Setenv("GITHUB_API_URL", api.URL)
	t.Setenv("GITHUB_TOKEN", secret)
	t.Setenv("GITHUB_REPOSITORY", "acme/box")
	stdout, stderr, err := executed(t.Context(), "cache", "prune", "--yes")
	if err == nil || !strings.Contains(err.Error(), "add `actions: read` to permissions") || isBadInput(err) {
		t.Errorf("got %v", err)
	}
	if _, _, err = executed(t.Context(), "cache", "list", "--repository", "other/box"); err == nil {
		t.Error("no error")
	}
	if got := strings.Join(requests, ", "); got != "GET /repos/acme/box/actions/caches, GET /repos/other/box/actions/caches" {
		t.Errorf("requests: %s", got)
	}
	if strings.Contains(stdout+stderr+fmt.Sprint(err), secret) {
		t.Error("the token is told")
	}
}

func TestCacheRefuses(t *testing.T) {
	t.Setenv("GITHUB_TOKEN", "")
	t.Setenv("GITHUB_REPOSITORY", "")
	for want, args := range map[string][]string{
		"which cache? Give --repository":              {"list"},
		"want a token in GITHUB_TOKEN":                {"list", "--repository", "acme/box"},
		`repository "acme": want OWNER/NAME`:          {"list", "--repository", "acme"},
		`format "html": want table or json`:           {"list", "--dir", "x", "--format", "html"},
		"[dir registry] were all set":                 {"list", "--dir", "x", "--registry", "y"},
		`"!" is not a repository`:                     {"prune", "--registry", "!"},
		"keep 0: want at least 1":                     {"prune", "--dir", "x", "--keep", "0"},
		`size "2 bananas": want a number of bytes`:    {"prune", "--dir", "x", "--max-size", "2 bananas"},
		`size "0": want`:                              {"prune", "--dir", "x", "--max-size", "0"},
		`unknown command "x" for "nixery-action cach`: {"x"},
	} {
		if _, _, err := executed(t.Context(), append([]string{"cache"}, args...)...); err == nil || !strings.Contains(err.Error(), want) || !isBadInput(err) {
			t.Errorf("%q: got %v, want %q", args, err, want)
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "1": 1, "17B": 17, "2GB": 2e9, "2gb": 2e9, "1.5 MiB": 3 << 19, "10kB": 1e4, "1TiB": 1 << 40} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"GB", "-1GB", "0", "1e30TB", "NaN", "Inf", "1 2", "2GBB", "0.1"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q passes for %d", text, got)
		}
	}
}
