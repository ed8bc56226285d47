package crawl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nix-community/go-nix/pkg/narinfo/signature"

	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/popularity"
	"github.com/org/nixery-action/internal/retry"
)

func mustCount(t *testing.T, c *Cache, paths []nix.StorePath) *Census {
	t.Helper()
	census, err := c.Count(t.Context(), paths, ignore)
	if err != nil {
		t.Fatal(err)
	}
	return census
}

func wantCounts(t *testing.T, census *Census, want popularity.Counts) {
	t.Helper()
	if diff := cmp.Diff(want, census.Tally.Counts(1)); diff != "" {
		t.Errorf("counts, -want +got:\n%s", diff)
	}
}

// wantLost compares losses, written as "why name".
func wantLost(t *testing.T, census *Census, want ...string) {
	t.Helper()
	var got []string
	for _, loss := range census.Lost {
		got = append(got, fmt.Sprint(loss.Why, " ", loss.Path.Name()))
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("lost %q, want %q", got, want)
	}
}

// fill adds four healthy paths, and returns them with what they count to.
func (f *fakeCache) fill() ([]nix.StorePath, popularity.Counts) {
	return []nix.StorePath{
		f.add("glibc-2.39"),
		f.add("zlib-1.3", "glibc-2.39", "zlib-1.3"),
		f.add("git-2.39", "glibc-2.39", "glibc-2.39-bin", "zlib-1.3"),
		f.add("bash-5.2", "glibc-2.39"),
	}, popularity.Counts{"glibc": 3, "zlib": 1}
}

func TestCount(t *testing.T) {
	f := newFakeCache(t)
	paths, want := f.fill()
	done := 0
	census, err := f.cache().Count(t.Context(), paths, func(n int) { done += n })
	if err != nil {
		t.Fatal(err)
	}
	wantCounts(t, census, want)
	wantLost(t, census)
	if done != 4 || census.Tally.Referrers() != 4 || !census.Complete() {
		t.Errorf("%d done, %d referrers, complete %v", done, census.Tally.Referrers(), census.Complete())
	}
}

func status(codes ...int) func(http.ResponseWriter, *http.Request, int) bool {
	return func(w http.ResponseWriter, _ *http.Request, n int) bool {
		if n > len(codes) {
			return false
		}
		w.WriteHeader(codes[n-1])
		return true
	}
}

func TestFaultsThatPass(t *testing.T) {
	cut := func(w http.ResponseWriter, _ *http.Request, n int) bool {
		if n == 1 {
			w.Header().Set("Content-Length", "500")
			fmt.Fprint(w, "StorePath: /nix/st")
		}
		return n == 1
	}
	cutAtALine := func(w http.ResponseWriter, _ *http.Request, n int) bool {
		if n == 1 {
			fmt.Fprint(w, strings.TrimSuffix(narinfoOf(path("git-2.39"), []string{"glibc-2.39"}), "\n"))
		}
		return n == 1
	}
	hangUp := func(w http.ResponseWriter, _ *http.Request, n int) bool {
		if n == 1 {
			panic(http.ErrAbortHandler)
		}
		return false
	}
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request, int) bool{
		"500":         status(500, 503, 500, 502),
		"429":         status(429),
		"408":         status(408),
		"truncated":   cut,
		"end missing": cutAtALine,
		"connection":  hangUp,
		"several kinds": func(w http.ResponseWriter, r *http.Request, n int) bool {
			return cut(w, r, n) || status(0, 500)(w, r, n)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeCache(t)
			paths, want := f.fill()
			f.faults[path("git-2.39")] = fault
			census := mustCount(t, f.cache(), paths)
			wantCounts(t, census, want)
			wantLost(t, census)
			if f.asked(path("git-2.39")) < 2 {
				t.Error("there was no fault")
			}
		})
	}
}

func TestHungServer(t *testing.T) {
	f := newFakeCache(t)
	paths, want := f.fill()
	f.faults[path("git-2.39")] = func(_ http.ResponseWriter, r *http.Request, n int) bool {
		if n == 1 {
			<-r.Context().Done() // until the client gives up
		}
		return n == 1
	}
	c := f.cache()
	c.timeout = time.Second // the others answer at once, even where the machine is busy
	wantCounts(t, mustCount(t, c, paths), want)
	if f.asked(path("git-2.39")) != 2 {
		t.Errorf("asked %d times", f.asked(path("git-2.39")))
	}
}

func TestLosses(t *testing.T) {
	f := newFakeCache(t)
	paths, want := f.fill()
	bad := func(name, from, to string) nix.StorePath {
		p := f.add(name, "glibc-2.39")
		f.narinfos[address(p)] = strings.Replace(f.narinfos[address(p)], from, to, 1)
		return p
	}
	paths = append(paths, path("gone-1"))
	census := mustCount(t, f.cache(), append(paths,
		bad("other-1", "/nix/store/", "/nix/store/x"),
		bad("nosize-1", "NarSize: 7\n", "")))
	wantCounts(t, census, want)
	wantLost(t, census, "absent gone-1", "malformed nosize-1", "malformed other-1")
	if got := census.Sum(); got != "1 absent, 2 malformed" {
		t.Error(got)
	}
	if n := f.asked(path("gone-1")); n != 1 {
		t.Errorf("what is absent was asked for %d times", n)
	}
}

func TestMalformedNarinfos(t *testing.T) {
	good := narinfoOf(path("a-1"), []string{"glibc-2.39"})
	if refs, err := parseNarinfo(path("a-1"), []byte(good), nil); err != nil || len(refs) != 1 {
		t.Fatalf("%v, %v", refs, err)
	}
	for name, bad := range map[string]string{
		"empty":         "",
		"html":          "<html>\n",
		"other path":    strings.Replace(good, "a-1", "a-2", 1),
		"no hash":       strings.Replace(good, "NarHash: "+narHash+"\n", "", 1),
		"bad hash":      strings.Replace(good, narHash, "sha256:0", 1),
		"no references": good[:strings.Index(good, "References")],
		"bad reference": strings.Replace(good, "-glibc", "/../glibc", 1),
		"short one":     strings.Replace(good, "References: ", "References: x ", 1),
		"no end":        strings.TrimSuffix(good, "\n"),
		"bad signature": good + "Sig: x\n",
	} {
		if refs, err := parseNarinfo(path("a-1"), []byte(bad), nil); err == nil {
			t.Errorf("%s: read as %v", name, refs)
		}
	}
}

func TestSignatures(t *testing.T) {
	secret, public, err := signature.GenerateKeypair("cache-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	impostor, _, err := signature.GenerateKeypair("cache-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	f := newFakeCache(t)
	paths, want := f.fill()
	for _, p := range paths {
		f.sign(t, p, impostor)
		f.sign(t, p, secret)
	}
	paths = append(paths, f.add("unsigned-1", "glibc-2.39"), f.add("impostor-1", "glibc-2.39"), f.add("changed-1", "zlib-1.3"))
	f.sign(t, path("impostor-1"), impostor)
	f.sign(t, path("changed-1"), secret)
	f.narinfos[address(path("changed-1"))] = strings.Replace(f.narinfos[address(path("changed-1"))], "zlib-1.3", "zlib-1.4", 1)

	c := f.cache()
	c.Keys = []signature.PublicKey{public}
	census := mustCount(t, c, paths)
	wantCounts(t, census, want)
	wantLost(t, census, "unsigned changed-1", "unsigned impostor-1", "unsigned unsigned-1")
}

// Nix signs references in order, whatever order a server gives them in.
func TestSignatureOverUnsortedReferences(t *testing.T) {
	secret, public, err := signature.GenerateKeypair("cache-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	f := newFakeCache(t)
	p := f.add("a-1", "aaa-1", "zzz-1")
	f.sign(t, p, secret)
	names := strings.Fields(strings.ReplaceAll(fmt.Sprint(paths("aaa-1", "zzz-1")), "/nix/store/", ""))
	sorted := strings.Trim(strings.Join(names, " "), "[]")
	turned := strings.Trim(names[1], "[]") + " " + strings.Trim(names[0], "[]")
	text := strings.Replace(f.narinfos[address(p)], sorted, turned, 1)
	if text == f.narinfos[address(p)] {
		t.Fatal("the order is the same")
	}
	if _, err := parseNarinfo(p, []byte(text), []signature.PublicKey{public}); err != nil {
		t.Error(err)
	}
}

func TestMoreThanHalfLost(t *testing.T) {
	f := newFakeCache(t)
	paths, _ := f.fill()
	paths = append(paths, path("a-1"), path("b-1"), path("c-1"), path("d-1"))
	mustCount(t, f.cache(), paths)
	_, err := f.cache().Count(t.Context(), append(paths, path("e-1")), ignore)
	var lost *LostError
	if !errors.As(err, &lost) || len(lost.Lost) != 5 {
		t.Fatalf("got %v", err)
	}
	if want := "of 9 store paths 5 absent; is this the cache for that list"; !strings.Contains(err.Error(), want) {
		t.Errorf("%v\nlacks %q", err, want)
	}
}

func TestNoBinaryCache(t *testing.T) {
	f := newFakeCache(t)
	paths, _ := f.fill()
	for info, want := range map[string]string{
		"StoreDir: /gnu/store\n": "it is of the store /gnu/store",
		"<html>":                 "no StoreDir",
	} {
		f.narinfos["/nix-cache-info"] = info
		if _, err := f.cache().Count(t.Context(), paths, ignore); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	delete(f.narinfos, "/nix-cache-info")
	_, err := f.cache().Count(t.Context(), paths, ignore)
	if err == nil || !strings.Contains(err.Error(), "reading nix-cache-info: the server answered 404 Not Found") {
		t.Errorf("got %v", err)
	}
	c := f.cache()
	f.Close()
	if _, err := c.Count(t.Context(), paths, ignore); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
}

// One path without an answer is named; a cache that goes down is an error, and
// the state stays good.
func TestUnanswered(t *testing.T) {
	f := newFakeCache(t)
	paths, want := f.fill()
	f.faults[path("lost-1")] = status(500, 500, 500, 500, 500, 500)
	c := f.cache()
	c.State = filepath.Join(t.TempDir(), "state")
	paths = append(paths, f.add("lost-1", "zlib-1.3"))
	census := mustCount(t, c, paths)
	wantCounts(t, census, want)
	wantLost(t, census, "unanswered lost-1")
	if census.Complete() || f.asked(path("lost-1")) != retry.Default.Attempts {
		t.Errorf("complete %v, asked %d times", census.Complete(), f.asked(path("lost-1")))
	}
	census = mustCount(t, c, paths) // one failure more, and then it answers
	wantCounts(t, census, popularity.Counts{"glibc": 3, "zlib": 2})
	if f.asked(path("bash-5.2")) != 1 {
		t.Error("what was answered is asked for again")
	}
}

func TestDown(t *testing.T) {
	f := newFakeCache(t)
	var paths []nix.StorePath
	for i := range 3 * patience {
		p := f.add(fmt.Sprint("p", i, "-1"))
		f.faults[p] = status(slices.Repeat([]int{503}, retry.Default.Attempts)...)
		paths = append(paths, p)
	}
	_, err := f.cache().Count(t.Context(), paths, ignore)
	if err == nil || !strings.Contains(err.Error(), "in a row had no answer; the last: the server answered 503") {
		t.Errorf("got %v", err)
	}
}

// Failures between answers are no sign that the cache is down.
func TestFlaky(t *testing.T) {
	f := newFakeCache(t)
	var paths []nix.StorePath
	for i := range 5 * patience {
		p := f.add(fmt.Sprintf("p%03d-1", i))
		if i%3 == 0 {
			f.faults[p] = status(slices.Repeat([]int{503}, retry.Default.Attempts)...)
		}
		paths = append(paths, p)
	}
	c := f.cache()
	c.Jobs = 1
	if census := mustCount(t, c, paths); len(census.Lost) != 34 {
		t.Errorf("%d lost", len(census.Lost))
	}
}

// What Nix's settings say of a cache after a question mark is not for the cache.
func TestCacheWithParameters(t *testing.T) {
	f := newFakeCache(t)
	paths, want := f.fill()
	f.faults[paths[0]] = func(_ http.ResponseWriter, r *http.Request, _ int) bool {
		if r.URL.RawQuery != "" {
			t.Errorf("asked for %s", r.URL)
		}
		return false
	}
	c := f.cache()
	c.URL += "/?priority=10#x"
	wantCounts(t, mustCount(t, c, paths), want)
}

// manyPaths have enough references for an interruption to matter.
func (f *fakeCache) manyPaths(n int) []nix.StorePath {
	var all []nix.StorePath
	for i := range n {
		refs := []string{"glibc-2.39"}
		for j := range i % 7 {
			refs = append(refs, fmt.Sprintf("lib%c-1.%d", 'a'+j, i))
		}
		all = append(all, f.add(fmt.Sprintf("p%d-1", i), refs...))
	}
	return append(all, path("gone-1"))
}

func written(t *testing.T, census *Census) string {
	t.Helper()
	var b bytes.Buffer
	if err := census.Tally.Counts(1).Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestInterruptedAndResumed(t *testing.T) {
	f := newFakeCache(t)
	paths := f.manyPaths(60)
	want := written(t, mustCount(t, f.cache(), paths))
	f.requests = map[string]int{}

	c := f.cache()
	c.State = filepath.Join(t.TempDir(), "state")
	ctx, cancel := context.WithCancel(t.Context())
	answers := 0
	_, err := c.Count(ctx, paths, func(n int) {
		if answers += n; answers == 20 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	again := 0
	slices.Reverse(paths) // the order of the list makes no difference
	census, err := c.Count(t.Context(), paths, func(n int) { again += n })
	if err != nil {
		t.Fatal(err)
	}
	if got := written(t, census); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	wantLost(t, census, "absent gone-1")
	total := 0
	for _, n := range f.requests {
		total += n
	}
	// 61 paths, nix-cache-info twice, and what was under way when it was cancelled.
	if again != len(paths) || total > 61+2+c.Jobs {
		t.Errorf("%d paths were done, %d requests made", again, total)
	}
}

// Wherever a kill cuts the state off, the count ends with the same table.
func TestStateCutAnywhere(t *testing.T) {
	f := newFakeCache(t)
	paths, _ := f.fill()
	paths = append(paths, path("gone-1"))
	c := f.cache()
	c.State = filepath.Join(t.TempDir(), "state")
	want := written(t, mustCount(t, c, paths))
	whole, err := os.ReadFile(c.State)
	if err != nil {
		t.Fatal(err)
	}
	lastLine := bytes.LastIndexByte(whole[:len(whole)-1], '\n')
	for end := 0; end < len(whole); end++ {
		if end < lastLine && end%11 != 0 {
			continue // enough of the whole lines before
		}
		if err := os.WriteFile(c.State, whole[:end], 0o644); err != nil {
			t.Fatal(err)
		}
		census := mustCount(t, c, paths)
		if got := written(t, census); got != want {
			t.Fatalf("cut at %d:\n%s\nwant\n%s", end, got, want)
		}
		wantLost(t, census, "absent gone-1")
		state, err := os.ReadFile(c.State)
		if err != nil || len(state) != len(whole) {
			t.Fatalf("cut at %d: the state has %d bytes, not %d; %v", end, len(state), len(whole), err)
		}
	}
}

func TestStateOfAnotherCount(t *testing.T) {
	f := newFakeCache(t)
	paths, _ := f.fill()
	c := f.cache()
	c.State = filepath.Join(t.TempDir(), "state")
	mustCount(t, c, paths)
	before, _ := os.ReadFile(c.State)
	refuse := func(name, want string, c *Cache, paths []nix.StorePath) {
		t.Helper()
		if _, err := c.Count(t.Context(), paths, ignore); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	refuse("paths", "it is of another count", c, paths[1:])
	_, public, err := signature.GenerateKeypair("cache-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	keyed := f.cache()
	keyed.State, keyed.Keys = c.State, []signature.PublicKey{public}
	refuse("keys", "it is of another count", keyed, paths)
	other := newFakeCache(t).cache()
	other.State = c.State
	refuse("cache", "it is of another count", other, paths)
	if after, _ := os.ReadFile(c.State); !bytes.Equal(before, after) {
		t.Error("a refused state was changed")
	}
	if err := os.WriteFile(c.State, []byte("{\"glibc\": 7}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	refuse("table", "not the state of a count", c, paths)
	if err := os.WriteFile(c.State, []byte("dear diary"), 0o644); err != nil {
		t.Fatal(err)
	}
	refuse("diary", "not the state of a count", c, paths)
}

func TestStateInUse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	j, err := openJournal(file, "x", func(entry) {})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openJournal(file, "x", func(entry) {}); err == nil || !strings.Contains(err.Error(), "another count is using it") {
		t.Errorf("got %v", err)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
}
