package proposal

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var proposal = Proposal{
	Branch: "refresh", Base: "main", Title: "Count again", Body: "| a |",
	Files: []File{{"internal/table.gz", []byte{0x1f, 0x8b}}, {"origin.go", []byte("package x\n")}},
}

const repo = "/v3/repos/acme/box"

// toCommit are the answers up to a new commit.
var toCommit = map[string]string{
	"GET " + repo + "/git/ref/heads/main":       `{"ref": "refs/heads/main", "object": {"sha": "c0"}}`,
	"GET " + repo + "/git/commits/c0":           `{"sha": "c0", "tree": {"sha": "t0"}}`,
	"POST " + repo + "/git/blobs":               `{"sha": "b1"}`,
	"POST " + repo + "/git/trees":               `{"sha": "t1"}`,
	"POST " + repo + "/git/commits":             `{"sha": "c1"}`,
	"POST " + repo + "/git/refs":                `{}`,
	"PATCH " + repo + "/git/refs/heads/refresh": `{}`,
}

var committing = []string{
	"GET " + repo + "/git/ref/heads/main",
	"GET " + repo + "/git/commits/c0",
	"POST " + repo + `/git/blobs {"content":"H4s=","encoding":"base64"}`,
	"POST " + repo + `/git/blobs {"content":"cGFja2FnZSB4Cg==","encoding":"base64"}`,
	"POST " + repo + `/git/trees {"base_tree":"t0","tree":[{"mode":"100644","path":"internal/table.gz","sha":"b1","type":"blob"},{"mode":"100644","path":"origin.go","sha":"b1","type":"blob"}]}`,
}

const (
	pullsQuery = "/pulls?base=main&head=acme%3Arefresh&state=open"
	newCommit  = "POST " + repo + `/git/commits {"message":"Count again","parents":["c0"],"tree":"t1"}`
)

func answers(more map[string]string) map[string]string {
	all := maps.Clone(toCommit)
	maps.Copy(all, more)
	return all
}

func TestProposeFirst(t *testing.T) {
	f := newFakeGitHub(t, answers(map[string]string{
		"GET " + repo + pullsQuery: `[]`,
		"POST " + repo + "/pulls":  `{"html_url": "https://github.com/acme/box/pull/7"}`,
	}))
	page, err := f.open(t).Propose(t.Context(), proposal)
	if err != nil || page != "https://github.com/acme/box/pull/7" {
		t.Errorf("%q, %v", page, err)
	}
	f.want(t, append(committing[:len(committing):len(committing)], newCommit,
		"GET "+repo+"/git/ref/heads/refresh",
		"POST "+repo+`/git/refs {"ref":"refs/heads/refresh","sha":"c1"}`,
		"GET "+repo+pullsQuery,
		"POST "+repo+`/pulls {"base":"main","body":"| a |","head":"refresh","title":"Count again"}`)...)
}

func TestProposeAgain(t *testing.T) {
	f := newFakeGitHub(t, answers(map[string]string{
		"GET " + repo + "/git/ref/heads/refresh": `{"ref": "refs/heads/refresh", "object": {"sha": "old"}}`,
		"GET " + repo + pullsQuery:               `[{"number": 7}]`,
		"PATCH " + repo + "/pulls/7":             `{"html_url": "https://github.com/acme/box/pull/7"}`,
	}))
	page, err := f.open(t).Propose(t.Context(), proposal)
	if err != nil || page != "https://github.com/acme/box/pull/7" {
		t.Errorf("%q, %v", page, err)
	}
	f.want(t, append(committing[:len(committing):len(committing)], newCommit,
		"GET "+repo+"/git/ref/heads/refresh",
		"PATCH "+repo+`/git/refs/heads/refresh {"force":true,"sha":"c1"}`,
		"GET "+repo+pullsQuery,
		"PATCH "+repo+`/pulls/7 {"body":"| a |","title":"Count again"}`)...)
}

func TestProposeNothingNew(t *testing.T) {
	f := newFakeGitHub(t, answers(map[string]string{"POST " + repo + "/git/trees": `{"sha": "t0"}`}))
	page, err := f.open(t).Propose(t.Context(), proposal)
	if err != nil || page != "" {
		t.Errorf("%q, %v", page, err)
	}
	f.want(t, committing...)
}

func TestProposeRefused(t *testing.T) {
	f := newFakeGitHub(t, answers(map[string]string{"GET " + repo + pullsQuery: `[]`}))
	f.answers["POST "+repo+"/pulls"] = `{"message": "GitHub Actions is not permitted to create or approve pull requests."}`
	f.status["POST "+repo+"/pulls"] = http.StatusForbidden
	_, err := f.open(t).Propose(t.Context(), proposal)
	if err == nil || !strings.Contains(err.Error(), "opening a pull request for refresh") || !strings.Contains(err.Error(), "not permitted to create") ||
		!strings.Contains(err.Error(), "add `pull-requests: write` to permissions") {
		t.Errorf("got %v", err)
	}
	stranger, err := Open("acme/box", f.URL+"/api/v3", "ghp_other")
	if err != nil {
		t.Fatal(err)
	}
	_, err = stranger.Propose(t.Context(), proposal)
	if err == nil || !strings.Contains(err.Error(), "committing to acme/box") || !strings.Contains(err.Error(), "401 Bad credentials") || strings.Contains(err.Error(), "permissions") || strings.Contains(err.Error(), "ghp_") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.open(t).Propose(ctx, proposal); err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("got %v", err)
	}
}

func asset(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "table.json.gz")
	if err := os.WriteFile(file, []byte("bytes"), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

const (
	uploadCall = "POST /uploads/repos/acme/box/releases/3/assets?name=table.json.gz"
	listCall   = "GET " + repo + "/releases/3/assets?per_page=100"
)

func TestAttach(t *testing.T) {
	uploaded := map[string]string{
		uploadCall:                   `{"browser_download_url": "https://github.com/acme/box/releases/download/popularity/table.json.gz"}`,
		listCall:                     `[{"id": 8, "name": "other.json.gz"}]`,
		"POST " + repo + "/releases": `{"id": 3}`,
	}
	create := "POST " + repo + `/releases {"make_latest":"false","name":"popularity","tag_name":"popularity","target_commitish":"main"}`
	byTag := "GET " + repo + "/releases/tags/popularity"
	there := maps.Clone(uploaded)
	there[byTag] = `{"id": 3}`
	replaced := maps.Clone(there)
	replaced[listCall] = `[{"id": 8, "name": "other.json.gz"}, {"id": 9, "name": "table.json.gz"}]`
	replaced["DELETE "+repo+"/releases/assets/9"] = ""
	for name, c := range map[string]struct {
		answers map[string]string
		want    []string
	}{
		"new release": {uploaded, []string{byTag, create, listCall, uploadCall + " bytes"}},
		"new asset":   {there, []string{byTag, listCall, uploadCall + " bytes"}},
		"old asset":   {replaced, []string{byTag, listCall, "DELETE " + repo + "/releases/assets/9", uploadCall + " bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeGitHub(t, c.answers)
			page, err := f.open(t).Attach(t.Context(), "popularity", "main", asset(t))
			if err != nil || !strings.HasSuffix(page, "/popularity/table.json.gz") {
				t.Errorf("%q, %v", page, err)
			}
			f.want(t, c.want...)
		})
	}
}

func TestAttachRefused(t *testing.T) {
	f := newFakeGitHub(t, map[string]string{"GET " + repo + "/releases/tags/popularity": `{"id": 3}`, listCall: `[]`})
	_, err := f.open(t).Attach(t.Context(), "popularity", "main", asset(t))
	if err == nil || !strings.HasPrefix(err.Error(), "release popularity: uploading table.json.gz: ") || strings.Contains(err.Error(), token) {
		t.Errorf("got %v", err)
	}
}

// A redirect elsewhere would take the token along.
func TestTokenStaysWithTheAPI(t *testing.T) {
	stolen := ""
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { stolen = r.Header.Get("Authorization") + " " }))
	defer thief.Close()
	api := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusFound))
	defer api.Close()
	r, err := Open("acme/box", api.URL+"/api/v3", token)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Propose(t.Context(), proposal); err == nil || stolen != "" {
		t.Errorf("error %v, and elsewhere came %q", err, stolen)
	}
}

func TestOpen(t *testing.T) {
	for name, c := range map[string]struct{ slug, api, token, want string }{
		"slug":    {"acme", "", token, "want OWNER/NAME"},
		"deep":    {"acme/box/x", "", token, "want OWNER/NAME"},
		"token":   {"acme/box", "", "", "want a token in GITHUB_TOKEN"},
		"http":    {"acme/box", "http://github.example.org/api/v3", token, "want the API at an https URL"},
		"nothing": {"acme/box", "://", token, "want the API at an https URL"},
	} {
		if _, err := Open(c.slug, c.api, c.token); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), token) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	for api, want := range map[string]string{
		"":                                  "https://api.github.com/ https://uploads.github.com/",
		"https://api.github.com":            "https://api.github.com/ https://uploads.github.com/",
		"https://github.example.org/api/v3": "https://github.example.org/api/v3/ https://github.example.org/api/uploads/",
	} {
		r, err := Open("acme/box", api, token)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.client.BaseURL.String() + " " + r.client.UploadURL.String(); got != want {
			t.Errorf("%s: got %s", api, got)
		}
	}
}
