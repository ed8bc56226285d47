package comment

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/org/nixery-action/internal/github"
)

const (
	token  = "ghs_hunter2"
	thread = "/repos/acme/box/issues/7/comments"
)

// written is a comment as GitHub keeps it.
type written struct {
	ID   int64  `json:"id"`
	Body string `json:"body"`
	URL  string `json:"html_url"`
	User struct {
		ID   int64  `json:"id"`
		Type string `json:"type"`
	} `json:"user"`
}

func by(kind string, id int64, body string) written {
	w := written{Body: body}
	w.User.Type, w.User.ID = kind, id
	return w
}

// fakeThread is the part of GitHub's API that is about one pull request's comments.
type fakeThread struct {
	*httptest.Server
	mu       sync.Mutex
	comments []written
	refuse   map[string]int // status by method
	user     int64          // that the token belongs to; 0 for a workflow's
	changes  []string       // requests that are not GET
	pages    int            // asked for
}

func newThread(t *testing.T, comments ...written) *fakeThread {
	f := &fakeThread{refuse: map[string]int{}}
	for _, c := range comments {
		f.add(c)
	}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeThread) add(c written) written {
	c.ID = int64(len(f.comments) + 1)
	c.URL = fmt.Sprintf("https://github.com/acme/box/pull/7#issuecomment-%d", c.ID)
	f.comments = append(f.comments, c)
	return c
}

func (f *fakeThread) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Method != http.MethodGet {
		f.changes = append(f.changes, r.Method+" "+r.URL.Path)
	}
	switch status := f.refuse[r.Method]; {
	case r.Header.Get("Authorization") != "Bearer "+token:
		http.Error(w, `{"message": "Bad credentials"}`, http.StatusUnauthorized)
	case status != 0:
		http.Error(w, `{"message": "Resource not accessible by integration"}`, status)
	case r.URL.Path == "/user" && f.user != 0:
		fmt.Fprintf(w, `{"id": %d}`, f.user)
	case r.URL.Path == "/user":
		http.Error(w, `{"message": "Resource not accessible by integration"}`, http.StatusForbidden)
	case r.URL.Path == thread && r.Method == http.MethodGet:
		f.list(w, r)
	default:
		f.write(w, r)
	}
}

func (f *fakeThread) list(w http.ResponseWriter, r *http.Request) {
	f.pages++
	size, _ := strconv.Atoi(r.URL.Query().Get("per_page"))
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	first := min((max(page, 1)-1)*size, len(f.comments))
	last := min(first+size, len(f.comments))
	if last < len(f.comments) {
		w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?per_page=%d&page=%d>; rel="next"`, r.Host, thread, size, max(page, 1)+1))
	}
	_ = json.NewEncoder(w).Encode(f.comments[first:last])
}

func (f *fakeThread) write(w http.ResponseWriter, r *http.Request) {
	var c written
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.User.Type = "Bot"
	if r.URL.Path == thread {
		c = f.add(c)
	} else {
		id, _ := strconv.Atoi(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
		f.comments[id-1].Body = c.Body
		c = f.comments[id-1]
	}
	_ = json.NewEncoder(w).Encode(c)
}

func (f *fakeThread) put(t *testing.T, marker, body string) (string, error) {
	t.Helper()
	r, err := github.Open("acme/box", f.URL, token)
	if err != nil {
		t.Fatal(err)
	}
	return Put(t.Context(), r, 7, marker, body)
}

// bodies are all comments, as people see them.
func (f *fakeThread) bodies(marker string) []string {
	var all []string
	for _, c := range f.comments {
		all = append(all, strings.ReplaceAll(c.Body, marker, "MARKER"))
	}
	return all
}

func TestPutKeepsOneComment(t *testing.T) {
	f := newThread(t, by("User", 1, "Nice work"))
	mine, other := Marker("nixery.yaml", "build"), Marker("nixery.yaml", "release")
	for _, step := range []struct{ marker, body string }{{mine, "one"}, {other, "else"}, {mine, "two"}, {mine, "two"}} {
		page, err := f.put(t, step.marker, step.body)
		if err != nil || !strings.HasPrefix(page, "https://github.com/acme/box/pull/7#") {
			t.Fatalf("%q, %v", page, err)
		}
	}
	if diff := cmp.Diff([]string{"Nice work", "MARKER\ntwo", other + "\nelse"}, f.bodies(mine)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	want := []string{"POST " + thread, "POST " + thread, "PATCH /repos/acme/box/issues/comments/2"}
	if diff := cmp.Diff(want, f.changes); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestPutTouchesNothingOfOthers(t *testing.T) {
	marker := Marker("x")
	for title, c := range map[string]written{
		"quoted by a bot":      by("Bot", 1, "> "+marker+"\n> old"),
		"behind a word":        by("Bot", 1, "see "+marker),
		"copied by a user":     by("User", 1, marker+"\nold"),
		"no author":            {Body: marker + "\nold"},
		"another step's":       by("Bot", 1, Marker("y")+"\nold"),
		"looks like the other": by("Bot", 1, strings.TrimSuffix(marker, " -->")),
	} {
		t.Run(title, func(t *testing.T) {
			f := newThread(t, c)
			if _, err := f.put(t, marker, "new"); err != nil {
				t.Fatal(err)
			}
			if len(f.comments) != 2 || f.comments[0].Body != c.Body || f.comments[1].Body != marker+"\nnew" {
				t.Errorf("%q", f.bodies(marker))
			}
		})
	}
}

func TestPutWithAUsersToken(t *testing.T) {
	marker := Marker("x")
	f := newThread(t, by("User", 5, marker+"\ncopied"), by("User", 9, marker+"\nold"))
	f.user = 9
	if _, err := f.put(t, marker, "new"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"MARKER\ncopied", "MARKER\nnew"}, f.bodies(marker)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestPutLooksThroughPages(t *testing.T) {
	marker := Marker("x")
	many := slices.Repeat([]written{by("User", 1, "+1")}, 250)
	f := newThread(t, append(many, by("Bot", 1, marker+"\nold"))...)
	if _, err := f.put(t, marker, "new"); err != nil || len(f.comments) != 251 || f.pages != 3 {
		t.Errorf("%v; %d comments, %d pages", err, len(f.comments), f.pages)
	}
	f = newThread(t, slices.Repeat([]written{by("User", 1, "+1")}, 100*mostPages+1)...)
	if _, err := f.put(t, marker, "new"); err != nil || f.pages != mostPages {
		t.Errorf("%v; %d pages", err, f.pages)
	}
}

func TestPutDenied(t *testing.T) {
	for method, status := range map[string]int{"GET": 404, "POST": 403, "PATCH": 401} {
		f := newThread(t)
		if method == "PATCH" {
			f = newThread(t, by("Bot", 1, Marker("x")+"\nold"))
		}
		f.refuse[method] = status
		_, err := f.put(t, Marker("x"), "new")
		var denied *DeniedError
		if !errors.As(err, &denied) || !strings.HasPrefix(err.Error(), "commenting on pull request 7 of acme/box: ") || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %v", method, err)
		}
	}
	f := newThread(t)
	f.refuse["POST"] = 422
	if _, err := f.put(t, Marker("x"), "new"); err == nil || errors.As(err, new(*DeniedError)) {
		t.Errorf("another failure: %v", err)
	}
}

func TestMarker(t *testing.T) {
	if a, b := Marker("ab", "c"), Marker("a", "bc"); a == b || !strings.HasPrefix(a, "<!-- nixery-action ") || !strings.HasSuffix(a, " -->") {
		t.Errorf("%s and %s", a, b)
	}
	if Marker("--><script>") == Marker("") || strings.Contains(Marker("--><script>"), "script") {
		t.Error("an identity is seen in its marker")
	}
}
