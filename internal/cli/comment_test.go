package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/org/nixery-action/internal/actions"
	"github.com/org/nixery-action/internal/logline"
	"github.com/org/nixery-action/internal/redact"
	"github.com/org/nixery-action/internal/summary"

	"log/slog"
)

// pullRequest is GitHub's API and a step's environment for pull request 7, on
// which a bot has written. It returns the requests made, and what a comment did say.
func pullRequest(t *testing.T, status int) (requests func() string, body *string) {
	t.Helper()
	var all []string
	body = new(string)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		all = append(all, r.Method+" "+r.URL.Path)
		w.WriteHeader(status)
		if r.Method == http.MethodGet {
			fmt.Fprint(w, `[]`)
			return
		}
		data, _ := io.ReadAll(r.Body)
		var comment struct{ Body string }
		_ = json.Unmarshal(data, &comment)
		*body = comment.Body
		fmt.Fprint(w, `{"html_url": "https://github.com/acme/box/pull/7#issuecomment-1"}`)
	}))
	t.Cleanup(api.Close)
	event := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(event, []byte(`{"pull_request": {"number": 7}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"GITHUB_API_URL": api.URL, "GITHUB_REPOSITORY": "acme/box", "GITHUB_EVENT_PATH": event,
		"GITHUB_WORKFLOW": "build", "GITHUB_JOB": "image", "GITHUB_ACTION": "__run",
	} {
		t.Setenv(name, value)
	}
	return func() string { return strings.Join(all, ", ") }, body
}

// commented runs tell with a step's inputs, and returns the log.
func commented(t *testing.T, inputs actions.Inputs, err error) string {
	t.Helper()
	var log bytes.Buffer
	c := &console{stderr: redact.NewWriter(&log, secret), log: slog.New(logline.NewPlain(&log, slog.LevelInfo, false))}
	c.tell(t.Context(), inputs, nil, err)
	return log.String()
}

func TestComment(t *testing.T) {
	requests, body := pullRequest(t, http.StatusOK)
	inputs := actions.Inputs{Comment: true, GitHubToken: secret}
	log := commented(t, inputs, fmt.Errorf("a build broke with %s", secret))
	if want := "GET /repos/acme/box/issues/7/comments, POST /repos/acme/box/issues/7/comments"; requests() != want {
		t.Errorf("requests %s", requests())
	}
	if !strings.HasPrefix(*body, markerOf(inputs)+"\n### No image was published") || !strings.Contains(*body, `a build broke with \*\*\*`) {
		t.Errorf("the comment is %s", *body)
	}
	if !strings.Contains(log, "commented on the pull request at=https://github.com/acme/box/pull/7#issuecomment-1") {
		t.Errorf("the log is %s", log)
	}
}

func TestCommentIsShortEnough(t *testing.T) {
	_, body := pullRequest(t, http.StatusOK)
	var many []error
	for range 500 {
		many = append(many, fmt.Errorf("%s", strings.Repeat("long ", 2000)))
	}
	commented(t, actions.Inputs{Comment: true, GitHubToken: secret}, joined(many))
	if len(*body) > summary.CommentLimit || len(*body) < summary.CommentLimit/2 {
		t.Errorf("%d characters", len(*body))
	}
}

type joined []error

func (j joined) Error() string   { return "many" }
func (j joined) Unwrap() []error { return j }

func TestCommentDenied(t *testing.T) {
	for status, want := range map[int]string{
		http.StatusForbidden:           "`permissions: pull-requests: write`",
		http.StatusInternalServerError: "commenting on pull request 7 of acme/box: ",
	} {
		pullRequest(t, status)
		log := commented(t, actions.Inputs{Comment: true, GitHubToken: secret}, nil)
		if !strings.HasPrefix(log, "warning: ") || !strings.Contains(log, want) || strings.Contains(log, secret) {
			t.Errorf("%d: the log is %s", status, log)
		}
	}
	requests, _ := pullRequest(t, http.StatusOK)
	if commented(t, actions.Inputs{GitHubToken: secret}, nil); requests() != "" {
		t.Errorf("a comment was not asked for: %s", requests())
	}
}

func TestMarkersTellStepsApart(t *testing.T) {
	seen := map[string]bool{}
	note := func(i actions.Inputs) { seen[markerOf(i)] = true }
	note(actions.Inputs{})
	note(actions.Inputs{File: "a.yaml"})
	note(actions.Inputs{Platforms: []string{"linux/amd64"}})
	note(actions.Inputs{Packages: []string{"git"}})
	note(actions.Inputs{Tags: []string{"they are others with each commit"}})
	for _, name := range []string{"GITHUB_WORKFLOW", "GITHUB_JOB", "GITHUB_ACTION"} {
		t.Setenv(name, "another")
		note(actions.Inputs{})
	}
	if len(seen) != 7 {
		t.Errorf("%d markers", len(seen))
	}
}
