package actions

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/cache/cachetest"
)

// parts of the requests of both versions. In v1 a reservation's path begins that of a commit.
var parts = map[string]map[string]string{
	"v2": {"look": "GetCacheEntryDownloadURL", "reserve": "CreateCacheEntry", "send": "PUT /blob/", "finish": "Finalize", "read": "GET /blob/", "all": " "},
	"v1": {"look": "GET /x/", "reserve": "artifactcache/caches", "send": "PATCH /x/", "finish": "POST /x/_apis/artifactcache/caches/", "read": "GET /blob/", "all": " "},
}

var troubles = map[string]cachetest.Trouble{
	"no such service":      {Part: "all", Answer: cachetest.Status(404, cachetest.Html), Log: []string{"HTTP 404"}, Requests: 9},
	"401":                  {Part: "all", Answer: cachetest.Status(401, `{"code":"unauthenticated","msg":"who are you"}`), Log: []string{"HTTP 401: who are you"}, Requests: 1},
	"403":                  {Part: "all", Answer: cachetest.Status(403, cachetest.Html), Log: []string{"HTTP 403"}, Requests: 1},
	"403 for writing":      {Part: "reserve", Answer: cachetest.Status(403, cachetest.Html), Log: []string{"not written in this run"}},
	"429":                  {Part: "all", Answer: cachetest.Status(429, cachetest.Html, "Retry-After", "1"), Log: []string{"HTTP 429"}, Requests: 1},
	"429 for writing":      {Part: "reserve", Answer: cachetest.Status(429, `{"code":"resource_exhausted","msg":"too much"}`), Log: []string{"too much"}, Requests: 8},
	"resource exhausted":   {Part: "reserve", Answer: cachetest.Status(503, `{"code":"resource_exhausted"}`), Log: []string{"HTTP 503"}, Requests: 8},
	"500":                  {Part: "all", Answer: cachetest.Status(500, cachetest.Html), Log: []string{"HTTP 500"}, Requests: cache.Attempts, Wait: 6 * time.Second},
	"500 once":             {Part: "all", Nth: 1, Answer: cachetest.Status(500, cachetest.Html), Saved: true, Requests: 25},
	"500 while sending":    {Part: "send", Nth: 2, Answer: cachetest.Status(500, cachetest.Html), Saved: true, Requests: 25},
	"502":                  {Part: "all", Answer: cachetest.Status(502, cachetest.Html), Log: []string{"HTTP 502"}, Requests: 1},
	"503, come back later": {Part: "all", Nth: 1, Answer: cachetest.Status(503, cachetest.Html, "Retry-After", "7"), Saved: true, Requests: 25, Wait: 11 * time.Second, Asked: 7 * time.Second},
	"503, come back never": {Part: "all", Answer: cachetest.Status(503, cachetest.Html, "Retry-After", "3600"), Log: []string{"HTTP 503"}, Requests: 1},
	"503, a date":          {Part: "all", Nth: 1, Answer: cachetest.Status(503, cachetest.Html, "Retry-After", "Sat, 01 Jan 2000 00:00:09 GMT"), Saved: true, Requests: 25, Wait: 12 * time.Second, Asked: 7 * time.Second},
	"silence":              {Part: "all", Answer: cachetest.Silence, Log: []string{"no answer in time (15s)"}, Requests: 2, Wait: 32 * time.Second},
	"connection breaks":    {Part: "look", Nth: 1, Answer: cachetest.HangUp, Saved: true, Requests: 25},
	"cut in mid-download":  {Part: "read", Nth: 1, Answer: cachetest.CutShort, Saved: true, Requests: 25},
	"always cut":           {Part: "read", Answer: cachetest.CutShort, Log: []string{"unexpected EOF"}, Requests: 3},
	"download stops":       {Part: "read", Answer: cachetest.Stall, Log: []string{"no answer in time"}, Requests: 3, Wait: 5 * time.Minute},
	"download forbidden":   {Part: "read", Answer: cachetest.Status(403, "String to sign was "+cachetest.TestSig, "x-ms-error-code", "AuthenticationFailed"), Log: []string{"HTTP 403: AuthenticationFailed"}, Requests: 2},
	"download is partial":  {Part: "read", Nth: 1, Answer: cachetest.Status(206, "abc"), Log: []string{"HTTP 206"}, Saved: true, Lost: true},
	"not JSON":             {Part: "all", Answer: cachetest.Status(200, cachetest.Html), Log: []string{"not the JSON"}, Requests: 9},
	"endless JSON":         {Part: "all", Answer: cachetest.Endless, Log: []string{"too long"}, Requests: 9},
	"finished, unheard":    {Part: "finish", Nth: 1, Answer: nil, Saved: true, Requests: 25},
	"reserved, unheard":    {Part: "reserve", Nth: 1, Answer: nil, Saved: true, Requests: 40},
}

// TestTrouble runs a build's use of the cache with each trouble: the run goes on, and costs and says little.
func TestTrouble(t *testing.T) {
	for version, environment := range map[string]map[string]string{"v2": environmentV2, "v1": environmentV1} {
		for name, trouble := range troubles {
			t.Run(version+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { runTrouble(t, trouble, environment, parts[version]) })
			})
		}
	}
}

func runTrouble(t *testing.T, trouble cachetest.Trouble, environment, parts map[string]string) {
	fake, front := newFake(t)
	open := openActions(t, front, environment)
	cachetest.Use(t, cachetest.NewTestCache(open()), "old", "old")
	front.Requests = nil
	answer := trouble.Answer
	if answer == nil {
		answer = cachetest.Unheard(fake.handler)
	}
	front.Add(&cachetest.Fault{Part: parts[trouble.Part], Nth: max(trouble.Nth, 1), Onward: trouble.Nth == 0, Answer: answer})
	begin, c := time.Now(), cachetest.NewTestCache(open())
	cachetest.Use(t, c, "old", "new")
	if trouble.Requests == 0 {
		trouble.Requests = 19 // look, read; the same for the blob; three times look, reserve, send, finish; reserve, send, finish
	}
	if parts["look"] == "GET /x/" {
		trouble.Requests += 4 // v1 looks before it saves
	}
	if n := len(front.Matching("")); n > trouble.Requests {
		t.Errorf("%d requests, want at most %d: %q", n, trouble.Requests, front.Requests)
	}
	if waited := time.Since(begin); waited > max(trouble.Wait, 4*time.Second) || waited < trouble.Asked {
		t.Errorf("it took %s", waited)
	}
	c.CheckLog(t, trouble.Log...)
	front.Faults = nil
	after := cachetest.NewTestCache(open())
	known := after.Open(t.Context(), cachetest.TestIdentity)
	_, old := known.Inspected("old")
	_, saved := known.Inspected("new")
	if old == trouble.Lost || saved != trouble.Saved {
		t.Errorf("the old snapshot is there: %v, the new: %v", old, saved)
	}
	for n := range 3 {
		if trouble.Saved {
			cachetest.CheckBlob(t, after, cachetest.BlobContent("new", n))
		}
	}
}

func TestWritesDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const words = "cache write denied: the token of a fork is read-only"
		fake, front := newFake(t)
		open := openActions(t, front, environmentV2)
		cachetest.Use(t, cachetest.NewTestCache(open()), "old", "old")
		fake.denied = words
		c := cachetest.NewTestCache(open())
		cachetest.Use(t, c, "old", "new")
		c.CheckLog(t, words)
		if c.Log.Len() == 0 || !strings.Contains(c.Log.String(), "level=INFO") {
			t.Errorf("what is normal for a fork is said as a warning: %s", c.Log)
		}
		if n := len(front.Matching("CreateCacheEntry")); n != 4+1 {
			t.Errorf("%d reservations were asked for after the denial", n-4)
		}
		cachetest.CheckKnows(t, c.Open(t.Context(), cachetest.TestIdentity), "old")
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
					c := cachetest.NewTestCache(openActions(t, front, with)())
					cachetest.Use(t, c, "old", "new")
					c.CheckLog(t, want.log...)
					looks, writes := front.Matching(parts[version]["look"]), front.Matching(parts[version]["reserve"])
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
			store := FromEnvironment(getenv(test.environment), Options{})
			said := store.String()
			if a, ok := store.(absent); ok {
				said = a.fault(cache.Finding).Error()
			}
			if !strings.Contains(said, test.want) {
				t.Errorf("it is %s, want %s", said, test.want)
			}
		})
	}
}

// TestWrongAnswers gives look-ups that must not be trusted.
func TestWrongAnswers(t *testing.T) {
	l := cachetest.TestIdentity.Scope("")
	answer := func(key, address string) string {
		return fmt.Sprintf(`{"ok":true,"matched_key":%q,"signed_download_url":%q}`, key, address)
	}
	const address = "https://storage.example/blob/1"
	for name, test := range map[string]struct {
		body string
		kind cache.Kind // Other, or Absent for ErrNotFound
	}{
		"another scope":     {answer(cachetest.Scope("a").Prefix()+"00000001", address), cache.Absent},
		"a longer name":     {answer(l.Prefix()+"00000001-00000001", address), cache.Absent},
		"no serial":         {answer(l.Prefix(), address), cache.Absent},
		"no name":           {answer("", address), cache.Absent},
		"no address":        {answer(l.Prefix()+"00000001", ""), cache.Other},
		"a file":            {answer(l.Prefix()+"00000001", "file:///etc/passwd"), cache.Other},
		"HTTP, not HTTPS":   {answer(l.Prefix()+"00000001", "http://storage.example/blob/1"), cache.Other},
		"a number as a key": {`{"ok":true,"matched_key":7}`, cache.Other},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, front := newFake(t)
				front.Add(&cachetest.Fault{Part: "GetCacheEntry", Nth: 1, Answer: cachetest.Status(200, test.body)})
				_, err := openActions(t, front, environmentV2)().Newest(t.Context(), l)
				var fault *cache.StoreError
				if errors.Is(err, cache.ErrNotFound) != (test.kind == cache.Absent) || test.kind == cache.Other && !errors.As(err, &fault) {
					t.Errorf("error is %v", err)
				}
			})
		})
	}
}

// GitHub Enterprise Server tells a name that is taken in two ways.
func TestTakenV1(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"409":      cachetest.Status(409, `{"typeKey":"ArtifactCacheItemAlreadyExistsException","message":"Cache already exists."}`),
		"type key": cachetest.Status(400, `{"typeKey":"ArtifactCacheItemAlreadyExistsException"}`),
		"no id":    cachetest.Status(200, `{}`),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, front := newFake(t)
				front.Add(&cachetest.Fault{Part: "POST ", Nth: 1, Answer: answer})
				err := openActions(t, front, environmentV1)().Save(t.Context(), cache.Name{Scope: cachetest.Scope("a"), Serial: 1}, 1, cachetest.Opener("x"))
				if !errors.Is(err, cache.ErrExists) {
					t.Errorf("error is %v", err)
				}
			})
		})
	}
}

func TestFinalizeLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, front := newFake(t)
		front.Add(&cachetest.Fault{Part: "Finalize", Nth: 1, Answer: cachetest.Status(404, `{"code":"not_found"}`)},
			&cachetest.Fault{Part: "Finalize", Nth: 2, Answer: cachetest.Status(404, `{"code":"not_found"}`)})
		s, name := openActions(t, front, environmentV2)(), cache.Name{Scope: cachetest.Scope("a"), Serial: 1}
		cachetest.Save(t, s, name, "content")
		cachetest.CheckNewest(t, s, name, "content")
	})
}

// An answer that was lost is not another job's entry.
func TestFinalizeUnheard(t *testing.T) {
	for version, environment := range map[string]map[string]string{"v2": environmentV2, "v1": environmentV1} {
		t.Run(version, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake, front := newFake(t)
				front.Add(&cachetest.Fault{Part: parts[version]["finish"], Nth: 1, Answer: cachetest.Unheard(fake.handler)})
				s, name := openActions(t, front, environment)(), cache.Name{Scope: cachetest.Scope("a"), Serial: 1}
				cachetest.Save(t, s, name, "content")
				cachetest.CheckNewest(t, s, name, "content")
			})
		})
	}
}

func TestFinalizeNever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, front := newFake(t)
		front.Add(&cachetest.Fault{Part: "Finalize", Nth: 1, Onward: true, Answer: cachetest.Status(404, `{"code":"not_found","msg":"no such upload"}`)})
		err := openActions(t, front, environmentV2)().Save(t.Context(), cache.Name{Scope: cachetest.Scope("a"), Serial: 1}, 1, cachetest.Opener("x"))
		if n := len(front.Matching("Finalize")); err == nil || !strings.Contains(err.Error(), "no such upload") || n != cache.Attempts {
			t.Errorf("after %d attempts the error is %v", n, err)
		}
	})
}

// TestBlockedNames leaves reservations that are never finished.
func TestBlockedNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, front := newFake(t)
		open := openActions(t, front, environmentV2)
		cachetest.Use(t, cachetest.NewTestCache(open()), "old", "old")
		content := cachetest.BlobContent("new", 0)
		for _, name := range []cache.Name{{Scope: cachetest.TestIdentity.Scope(""), Serial: 2}, {Scope: cachetest.TestIdentity.Scope(""), Serial: 3}, {Scope: cache.BlobScope(cachetest.HashOf(content)), Serial: 1}} {
			if _, ok := fake.reserve(name.String(), Version, 0); !ok {
				t.Fatalf("%s is taken", name)
			}
		}
		begin, c := time.Now(), cachetest.NewTestCache(open())
		cachetest.Use(t, c, "old", "new")
		c.CheckLog(t)
		if waited := time.Since(begin); waited > 5*time.Second {
			t.Errorf("it took %s", waited)
		}
		after := cachetest.NewTestCache(open())
		cachetest.CheckKnows(t, after.Open(t.Context(), cachetest.TestIdentity), "old", "new")
		cachetest.CheckBlob(t, after, content)
	})
}

// TestLateLookUps hides the newest entry from look-ups, as clocks that differ and slow replicas do.
func TestLateLookUps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, front := newFake(t)
		open := openActions(t, front, environmentV2)
		cachetest.NewTestCache(open()).Save(t.Context(), cachetest.TestIdentity, cachetest.NewTestSnapshot("a"))
		cachetest.NewTestCache(open()).Save(t.Context(), cachetest.TestIdentity, cachetest.NewTestSnapshot("b"))
		fake.lag = 2
		c := cachetest.NewTestCache(open())
		cachetest.CheckKnows(t, c.Open(t.Context(), cachetest.TestIdentity), "a")
		c.Save(t.Context(), cachetest.TestIdentity, cachetest.NewTestSnapshot("c"))
		c.CheckLog(t)
		cachetest.CheckKnows(t, cachetest.NewTestCache(open()).Open(t.Context(), cachetest.TestIdentity), "a", "b", "c")
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
		err := blocks(size, func() (io.ReadCloser, error) { return io.NopCloser(io.LimitReader(&cachetest.Pattern{}, size)), nil },
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
