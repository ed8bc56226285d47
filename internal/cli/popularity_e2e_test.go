//go:build e2e

package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/popularity"
)

// A table counted from a real, signed binary cache is what Nix itself says of
// the store, and a count that was killed ends with the same file.
func TestPopularityOfABinaryCache(t *testing.T) {
	t.Setenv("NIX_CONFIG", cmp.Or(os.Getenv("NIX_CONFIG"), nixConfig))
	t.Setenv("HOME", t.TempDir())
	tiny, err := filepath.Abs("../../testdata/tiny")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("tiny", func(t *testing.T) {
		checkBinaryCache(t, fmt.Sprintf("let set = import (/. + %q) { }; in [ set.app set.names set.outputs set.hello ]", tiny))
	})
	if debian := os.Getenv("NIXERY_TEST_DEBPKGS"); debian != "" {
		t.Run("debpkgs", func(t *testing.T) {
			lock := debian + "/locks/" + runtime.GOARCH + ".json"
			checkBinaryCache(t, fmt.Sprintf("let set = import (/. + %q) { }; lock = builtins.fromJSON (builtins.readFile (/. + %q)); in map (name: set.${name}) lock.roots", debian, lock))
		})
	}
}

func checkBinaryCache(t *testing.T, expression string) {
	work := t.TempDir()
	roots := strings.Fields(runNix(t, "nix-build", "--quiet", "--out-link", work+"/root", "-E", expression))
	paths := strings.Fields(runNix(t, append([]string{"nix-store", "--query", "--requisites"}, roots...)...))
	slices.Sort(paths)
	paths = slices.Compact(paths)
	runNix(t, "nix-store", "--generate-binary-cache-key", "test-1", work+"/secret", work+"/public")
	runNix(t, append([]string{"nix", "--extra-experimental-features", "nix-command", "copy",
		"--to", "file://" + work + "/cache?compression=none&secret-key=" + work + "/secret"}, roots...)...)
	key, err := os.ReadFile(work + "/public")
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(work, "paths")
	if err := os.WriteFile(list, []byte(strings.Join(paths, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	runNix(t, "xz", list)
	cache := &killingCache{files: http.FileServer(http.Dir(work + "/cache")), victim: make(chan *os.Process, 1)}
	server := httptest.NewServer(cache)
	defer server.Close()
	args := []string{"popularity", "count", "--binary-cache", server.URL, "--store-paths", list + ".xz", "--trusted-public-key", strings.TrimSpace(string(key))}

	want := referrers(t, paths)
	if got := mustRun(t, args...); got != want {
		t.Errorf("nix-store --query --referrers gives\n%s\nnot\n%s", want, got)
	}
	output, state := filepath.Join(work, "table.json"), filepath.Join(work, "state")
	args = append(args, "--output", output, "--state", state, "--jobs", "3")
	killHalfWay(t, cache, len(paths)/2, args)
	kept, err := os.ReadFile(state)
	if lines := bytes.Count(kept, []byte("\n")) - 1; err != nil || lines < len(paths)/2-4 || lines >= len(paths) {
		t.Errorf("%d of %d answers were kept, %v", lines, len(paths), err)
	}
	if _, err := os.Stat(output); err == nil {
		t.Error("half a table was written")
	}
	cache.requests.Store(0)
	mustRun(t, args...)
	if n := int(cache.requests.Load()); n > len(paths)/2+5 {
		t.Errorf("%d requests for what was left of %d paths", n, len(paths))
	}
	if got, err := os.ReadFile(output); err != nil || string(got) != want {
		t.Errorf("after a kill the table is\n%s\n%v", got, err)
	}
}

// referrers is the table that Nix's own words make.
func referrers(t *testing.T, paths []string) string {
	t.Helper()
	by := map[string]map[string]bool{}
	for _, path := range paths {
		name := popularity.Name(nix.StorePath(path).Name())
		for _, referrer := range strings.Fields(runNix(t, "nix-store", "--query", "--referrers", path)) {
			// Others use this store as well.
			if _, ours := slices.BinarySearch(paths, referrer); !ours || referrer == path {
				continue
			}
			if by[name] == nil {
				by[name] = map[string]bool{}
			}
			by[name][referrer] = true
		}
	}
	counts := map[string]int{}
	for name, all := range by {
		counts[name] = len(all)
	}
	text, err := json.MarshalIndent(counts, "", "  ")
	if err != nil || len(counts) < 3 {
		t.Fatalf("%d names, %v", len(counts), err)
	}
	return string(text) + "\n"
}

// killingCache serves a directory, and kills its client at a certain request.
type killingCache struct {
	files    http.Handler
	requests atomic.Int32
	fatal    atomic.Int32
	victim   chan *os.Process
}

func (k *killingCache) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if n := k.requests.Add(1); n == k.fatal.Load() {
		(<-k.victim).Kill()
	}
	k.files.ServeHTTP(w, r)
}

func killHalfWay(t *testing.T, cache *killingCache, n int, args []string) {
	t.Helper()
	cache.requests.Store(0)
	cache.fatal.Store(int32(n))
	cmd := command(t, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cache.victim <- cmd.Process
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the count ended with %v", err)
	}
	cache.fatal.Store(-1)
}

// command is this test binary, which plays nixery-action under that name.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "nixery-action")
	if err := os.Symlink(self, name); err != nil {
		t.Fatal(err)
	}
	return exec.Command(name, args...)
}

func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	cmd := command(t, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil || strings.Contains(stderr.String(), "not counted") {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	return string(stdout)
}

func runNix(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, &stderr)
	}
	return string(stdout)
}
