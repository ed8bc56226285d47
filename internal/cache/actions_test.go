package cache

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Parts of the requests of both versions. In v1 a reservation's path begins that of a commit.
var parts = map[string]map[string]string{
	"v2": {"look": "GetCacheEntryDownloadURL", "reserve": "CreateCacheEntry", "send": "PUT /blob/", "finish": "Finalize", "read": "GET /blob/", "all": " "},
	"v1": {"look": "GET /x/", "reserve": "artifactcache/caches", "send": "PATCH /x/", "finish": "POST /x/_apis/artifactcache/caches/", "read": "GET /blob/", "all": " "},
}

// trouble is something that goes wrong, and what it may cost at most.
type trouble struct {
	part     string // of parts
	nth      int    // 0 means 1 and all after it
	answer   http.HandlerFunc
	log      []string      // a part of each line
	saved    bool          // the run's snapshot and blobs are there afterwards
	lost     bool          // the old snapshot is not: what cannot be read is replaced
	requests int           // at most; 0 means as many as without trouble
	wait     time.Duration // at most; 0 means that of one or two backoffs
	asked    time.Duration // what the service asked to wait
}

const html = "<html>lost</html>"

var troubles = map[string]trouble{
	"no such service":      {part: "all", answer: status(404, html), log: []string{"HTTP 404"}, requests: 9},
	"401":                  {part: "all", answer: status(401, `{"code":"unauthenticated","msg":"who are you"}`), log: []string{"HTTP 401: who are you"}, requests: 1},
	"403":                  {part: "all", answer: status(403, html), log: []string{"HTTP 403"}, requests: 1},
	"403 for writing":      {part: "reserve", answer: status(403, html), log: []string{"not written in this run"}},
	"429":                  {part: "all", answer: status(429, html, "Retry-After", "1"), log: []string{"HTTP 429"}, requests: 1},
	"429 for writing":      {part: "reserve", answer: status(429, `{"code":"resource_exhausted","msg":"too much"}`), log: []string{"too much"}, requests: 8},
	"resource exhausted":   {part: "reserve", answer: status(503, `{"code":"resource_exhausted"}`), log: []string{"HTTP 503"}, requests: 8},
	"500":                  {part: "all", answer: status(500, html), log: []string{"HTTP 500"}, requests: attempts, wait: 6 * time.Second},
	"500 once":             {part: "all", nth: 1, answer: status(500, html), saved: true, requests: 25},
	"500 while sending":    {part: "send", nth: 2, answer: status(500, html), saved: true, requests: 25},
	"502":                  {part: "all", answer: status(502, html), log: []string{"HTTP 502"}, requests: 1},
	"503, come back later": {part: "all", nth: 1, answer: status(503, html, "Retry-After", "7"), saved: true, requests: 25, wait: 11 * time.Second, asked: 7 * time.Second},
	"503, come back never": {part: "all", answer: status(503, html, "Retry-After", "3600"), log: []string{"HTTP 503"}, requests: 1},
	"503, a date":          {part: "all", nth: 1, answer: status(503, html, "Retry-After", "Sat, 01 Jan 2000 00:00:09 GMT"), saved: true, requests: 25, wait: 12 * time.Second, asked: 7 * time.Second},
	"silence":              {part: "all", answer: silence, log: []string{"no answer in time (15s)"}, requests: 2, wait: 32 * time.Second},
	"connection breaks":    {part: "look", nth: 1, answer: hangUp, saved: true, requests: 25},
	"cut in mid-download":  {part: "read", nth: 1, answer: cutShort, saved: true, requests: 25},
	"always cut":           {part: "read", answer: cutShort, log: []string{"unexpected EOF"}, requests: 3},
	"download stops":       {part: "read", answer: stall, log: []string{"no answer in time"}, requests: 3, wait: 5 * time.Minute},
	"download forbidden":   {part: "read", answer: status(403, "String to sign was "+testSig, "x-ms-error-code", "AuthenticationFailed"), log: []string{"HTTP 403: AuthenticationFailed"}, requests: 2},
	"download is partial":  {part: "read", nth: 1, answer: status(206, "abc"), log: []string{"HTTP 206"}, saved: true, lost: true},
	"not JSON":             {part: "all", answer: status(200, html), log: []string{"not the JSON"}, requests: 9},
	"endless JSON":         {part: "all", answer: endless, log: []string{"too long"}, requests: 9},
	"finished, unheard":    {part: "finish", nth: 1, answer: nil, saved: true, requests: 25},
	"reserved, unheard":    {part: "reserve", nth: 1, answer: nil, saved: true, requests: 40},
}

func cutShort(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, magic)
}

func stall(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, magic)
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

func endless(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.Copy(w, io.LimitReader(&pattern{}, 10*maxAnswer))
}

// unheard does what is asked, and loses the answer.
func unheard(inner http.Handler) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
}

// TestTrouble runs a build's use of the cache with each trouble: the run goes on, and costs and says little.
func TestTrouble(t *testing.T) {
	for version, environment := range map[string]map[string]string{"v2": environmentV2, "v1": environmentV1} {
		for name, trouble := range troubles {
			t.Run(version+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { trouble.run(t, environment, parts[version]) })
			})
		}
	}
}

func (trouble trouble) run(t *testing.T, environment, parts map[string]string) {
	fake, front := newFake(t)
	open := openActions(t, front, environment)
	use(t, newTestCache(open()), "old", "old")
	front.requests = nil
	answer := trouble.answer
	if answer == nil {
		answer = unheard(fake.handler)
	}
	front.add(&fault{part: parts[trouble.part], nth: max(trouble.nth, 1), onward: trouble.nth == 0, answer: answer})
	begin, c := time.Now(), newTestCache(open())
	use(t, c, "old", "new")
	if trouble.requests == 0 {
		trouble.requests = 19 // look, read; the same for the blob; three times look, reserve, send, finish; reserve, send, finish
	}
	if parts["look"] == "GET /x/" {
		trouble.requests += 4 // v1 looks before it saves
	}
	if n := len(front.matching("")); n > trouble.requests {
		t.Errorf("%d requests, want at most %d: %q", n, trouble.requests, front.requests)
	}
	if waited := time.Since(begin); waited > max(trouble.wait, 4*time.Second) || waited < trouble.asked {
		t.Errorf("it took %s", waited)
	}
	c.checkLog(t, trouble.log...)
	front.faults = nil
	after := newTestCache(open())
	known := after.Open(t.Context(), testIdentity)
	_, old := known.Image("old")
	_, saved := known.Image("new")
	if old == trouble.lost || saved != trouble.saved {
		t.Errorf("the old snapshot is there: %v, the new: %v", old, saved)
	}
	for n := range 3 {
		if trouble.saved {
			checkBlob(t, after, blobContent("new", n))
		}
	}
}

var testIdentity = Identity{Spec: "nixery.yaml", Image: "box", Platform: "linux/arm64"}

func blobContent(name string, n int) string { return strings.Repeat(fmt.Sprint(name, n), 1000) }

// use does what a build does: it reads a history and a blob, and saves three blobs and a snapshot. It must never see anything false.
func use(t *testing.T, c *testCache, old, name string) {
	t.Helper()
	if l := c.Open(t.Context(), testIdentity); !l.Empty() {
		checkKnows(t, l, old)
	}
	want := blobContent(old, 0)
	if blob, err := c.Blob(t.Context(), hashOf(want), int64(len(want))); err == nil {
		got, err := io.ReadAll(blob)
		if err == nil && string(got) != want {
			t.Error("a blob has wrong bytes")
		}
		_ = blob.Close()
	} else if !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	for n := range 3 {
		content := blobContent(name, n)
		c.SaveBlob(t.Context(), hashOf(content), int64(len(content)), opener(content))
	}
	c.Save(t.Context(), testIdentity, snapshot(name))
}

func TestWritesDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const words = "cache write denied: the token of a fork is read-only"
		fake, front := newFake(t)
		open := openActions(t, front, environmentV2)
		use(t, newTestCache(open()), "old", "old")
		fake.denied = words
		c := newTestCache(open())
		use(t, c, "old", "new")
		c.checkLog(t, words)
		if c.log.Len() == 0 || !strings.Contains(c.log.String(), "level=INFO") {
			t.Errorf("what is normal for a fork is said as a warning: %s", c.log)
		}
		if n := len(front.matching("CreateCacheEntry")); n != 4+1 {
			t.Errorf("%d reservations were asked for after the denial", n-4)
		}
		checkKnows(t, c.Open(t.Context(), testIdentity), "old")
	})
}

func TestModes(t *testing.T) {
	for mode, want := range map[string]struct {
		log                  []string
		looks, reads, writes bool
	}{
		"":           {looks: true, writes: true},
		"write":      {looks: true, writes: true},
		"read":       {log: []string{"ACTIONS_CACHE_MODE is read"}, looks: true},
		"write-only": {writes: true},
		"none":       {log: []string{"ACTIONS_CACHE_MODE is none"}},
	} {
		for version, environment := range map[string]map[string]string{"v2": environmentV2, "v1": environmentV1} {
			t.Run(version+"/"+mode, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					_, front := newFake(t)
					with := map[string]string{"ACTIONS_CACHE_MODE": mode}
					for name, value := range environment {
						with[name] = value
					}
					c := newTestCache(openActions(t, front, with)())
					use(t, c, "old", "new")
					c.checkLog(t, want.log...)
					looks, writes := front.matching(parts[version]["look"]), front.matching(parts[version]["reserve"])
					if (len(looks) > 0) != want.looks || (len(writes) > 0) != want.writes {
						t.Errorf("%d look-ups, %d reservations", len(looks), len(writes))
					}
				})
			})
		}
	}
}

func TestFromEnvironment(t *testing.T) {
	for name, test := range map[string]struct {
		environment map[string]string
		want        string
	}{
		"v2":             {environmentV2, "(v2)"},
		"v1":             {environmentV1, "(v1)"},
		"act":            {map[string]string{"ACTIONS_CACHE_URL": "http://10.0.0.1:3000/x/"}, "(v1)"},
		"v2 switched on": {map[string]string{"ACTIONS_CACHE_SERVICE_V2": "false", "ACTIONS_RESULTS_URL": "https://r", "ACTIONS_CACHE_URL": "https://c"}, "(v1)"},
		"no token":       {map[string]string{"ACTIONS_CACHE_SERVICE_V2": "1", "ACTIONS_RESULTS_URL": "https://r"}, "ACTIONS_RUNTIME_TOKEN is not set"},
		"a run step":     {nil, "not in run: steps"},
		"not a URL":      {map[string]string{"ACTIONS_CACHE_URL": "::"}, "not a URL"},
	} {
		t.Run(name, func(t *testing.T) {
			store := FromEnvironment(getenv(test.environment), ActionsOptions{})
			said := store.String()
			if a, ok := store.(absent); ok {
				said = a.fault(findingEntry).Error()
			}
			if !strings.Contains(said, test.want) {
				t.Errorf("it is %s, want %s", said, test.want)
			}
		})
	}
}

// TestWrongAnswers gives look-ups that must not be trusted.
func TestWrongAnswers(t *testing.T) {
	l := testIdentity.Scope("")
	answer := func(key, address string) string {
		return fmt.Sprintf(`{"ok":true,"matched_key":%q,"signed_download_url":%q}`, key, address)
	}
	const address = "https://storage.example/blob/1"
	for name, test := range map[string]struct {
		body string
		kind Kind // Other, or Absent for ErrNotFound
	}{
		"another scope":     {answer(scope("a").prefix()+"00000001", address), Absent},
		"a longer name":     {answer(l.prefix()+"00000001-00000001", address), Absent},
		"no serial":         {answer(l.prefix(), address), Absent},
		"no name":           {answer("", address), Absent},
		"no address":        {answer(l.prefix()+"00000001", ""), Other},
		"a file":            {answer(l.prefix()+"00000001", "file:///etc/passwd"), Other},
		"HTTP, not HTTPS":   {answer(l.prefix()+"00000001", "http://storage.example/blob/1"), Other},
		"a number as a key": {`{"ok":true,"matched_key":7}`, Other},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, front := newFake(t)
				front.add(&fault{part: "GetCacheEntry", nth: 1, answer: status(200, test.body)})
				_, err := openActions(t, front, environmentV2)().Newest(t.Context(), l)
				var fault *StoreError
				if errors.Is(err, ErrNotFound) != (test.kind == Absent) || test.kind == Other && !errors.As(err, &fault) {
					t.Errorf("error is %v", err)
				}
			})
		})
	}
}

func TestParseNames(t *testing.T) {
	l := testIdentity.Scope("")
	if name, err := l.parse(strings.ToUpper(Name{l, 0xabc}.String())); err != nil || name.Serial != 0xabc {
		t.Errorf("got %v, %v", name, err)
	}
	for _, digits := range []string{"", "1", "000000001", "0000000g", "00000001-"} {
		if name, err := l.parse(l.prefix() + digits); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q is %v, %v", digits, name, err)
		}
	}
}

// GitHub Enterprise Server tells a name that is taken in two ways.
func TestTakenV1(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"409":      status(409, `{"typeKey":"ArtifactCacheItemAlreadyExistsException","message":"Cache already exists."}`),
		"type key": status(400, `{"typeKey":"ArtifactCacheItemAlreadyExistsException"}`),
		"no id":    status(200, `{}`),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, front := newFake(t)
				front.add(&fault{part: "POST ", nth: 1, answer: answer})
				err := openActions(t, front, environmentV1)().Save(t.Context(), Name{scope("a"), 1}, 1, opener("x"))
				if !errors.Is(err, ErrExists) {
					t.Errorf("error is %v", err)
				}
			})
		})
	}
}

func TestFinalizeLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, front := newFake(t)
		front.add(&fault{part: "Finalize", nth: 1, answer: status(404, `{"code":"not_found"}`)},
			&fault{part: "Finalize", nth: 2, answer: status(404, `{"code":"not_found"}`)})
		s, name := openActions(t, front, environmentV2)(), Name{scope("a"), 1}
		save(t, s, name, "content")
		checkNewest(t, s, name, "content")
	})
}

// An answer that was lost is not another job's entry.
func TestFinalizeUnheard(t *testing.T) {
	for version, environment := range map[string]map[string]string{"v2": environmentV2, "v1": environmentV1} {
		t.Run(version, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake, front := newFake(t)
				front.add(&fault{part: parts[version]["finish"], nth: 1, answer: unheard(fake.handler)})
				s, name := openActions(t, front, environment)(), Name{scope("a"), 1}
				save(t, s, name, "content")
				checkNewest(t, s, name, "content")
			})
		})
	}
}

func TestFinalizeNever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, front := newFake(t)
		front.add(&fault{part: "Finalize", nth: 1, onward: true, answer: status(404, `{"code":"not_found","msg":"no such upload"}`)})
		err := openActions(t, front, environmentV2)().Save(t.Context(), Name{scope("a"), 1}, 1, opener("x"))
		if n := len(front.matching("Finalize")); err == nil || !strings.Contains(err.Error(), "no such upload") || n != attempts {
			t.Errorf("after %d attempts the error is %v", n, err)
		}
	})
}

// TestBlockedNames leaves reservations that nobody will ever finish.
func TestBlockedNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, front := newFake(t)
		open := openActions(t, front, environmentV2)
		use(t, newTestCache(open()), "old", "old")
		content := blobContent("new", 0)
		for _, name := range []Name{{testIdentity.Scope(""), 2}, {testIdentity.Scope(""), 3}, {blobScope(hashOf(content)), 1}} {
			if _, ok := fake.reserve(name.String(), actionsVersion, 0); !ok {
				t.Fatalf("%s is taken", name)
			}
		}
		begin, c := time.Now(), newTestCache(open())
		use(t, c, "old", "new")
		c.checkLog(t)
		if waited := time.Since(begin); waited > 5*time.Second {
			t.Errorf("it took %s", waited)
		}
		after := newTestCache(open())
		checkKnows(t, after.Open(t.Context(), testIdentity), "old", "new")
		checkBlob(t, after, content)
	})
}

// TestLateLookUps hides the newest entry from look-ups, as clocks that differ and slow replicas do.
func TestLateLookUps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, front := newFake(t)
		open := openActions(t, front, environmentV2)
		newTestCache(open()).Save(t.Context(), testIdentity, snapshot("a"))
		newTestCache(open()).Save(t.Context(), testIdentity, snapshot("b"))
		fake.lag = 2
		c := newTestCache(open())
		checkKnows(t, c.Open(t.Context(), testIdentity), "a")
		c.Save(t.Context(), testIdentity, snapshot("c"))
		c.checkLog(t)
		checkKnows(t, newTestCache(open()).Open(t.Context(), testIdentity), "a", "b", "c")
	})
}

// TestPace counts uploads in every minute.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		var at []time.Time
		for range 600 {
			if err := p.wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			at = append(at, time.Now())
		}
		for i := range at[:len(at)-150] {
			if at[i+149].Sub(at[i]) < time.Minute {
				t.Fatalf("150 uploads in %s", at[i+149].Sub(at[i]))
			}
		}
		if took := time.Since(at[0]); took > 6*time.Minute {
			t.Errorf("600 uploads took %s", took)
		}
	})
}

// TestBlocks cuts at the edges.
func TestBlocks(t *testing.T) {
	for _, size := range []int64{0, 1, blockSize - 1, blockSize, blockSize + 1, 2 * blockSize} {
		var sent, calls int64
		err := blocks(size, func() (io.ReadCloser, error) { return io.NopCloser(io.LimitReader(&pattern{}, size)), nil },
			func(offset int64, block []byte) error {
				if offset != sent {
					t.Errorf("size %d: block at %d, want %d", size, offset, sent)
				}
				sent += int64(len(block))
				calls++
				return nil
			})
		if err != nil || sent != size || calls != max(1, (size+blockSize-1)/blockSize) {
			t.Errorf("size %d: %d bytes in %d blocks: %v", size, sent, calls, err)
		}
	}
}

func TestOwnWords(t *testing.T) {
	got := ownWords("no\n::error::x token "+testToken+" at https://s/b?sig="+testSig+" "+strings.Repeat("é", 400), testToken)
	if strings.ContainsAny(got, "\n") || strings.Contains(got, testToken) || strings.Contains(got, testSig) || len([]rune(got)) > maxMessage+1 {
		t.Errorf("got %q", got)
	}
}
