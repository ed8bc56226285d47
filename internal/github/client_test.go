package github

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const token = "ghp_hunter2"

func TestOpenRefuses(t *testing.T) {
	for want, c := range map[string][3]string{
		"want OWNER/NAME":               {"acme", "", token},
		`"acme/": want OWNER/NAME`:      {"acme/", "", token},
		`"acme/b/c": want OWNER/NAME`:   {"acme/b/c", "", token},
		`"acme/b?c": want OWNER/NAME`:   {"acme/b?c", "", token},
		"want a token in GITHUB_TOKEN":  {"acme/box", "", ""},
		"want the API at an https URL:": {"acme/box", "http://api.example.org", token},
	} {
		if _, err := Open(c[0], c[1], c[2]); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), token) {
			t.Errorf("%q: got %v, want %q", c[:2], err, want)
		}
	}
}

// The token goes along with a redirect on the same host, as of a repository that was renamed, and to no other.
func TestRedirects(t *testing.T) {
	var seen []string
	note := func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		_, _ = w.Write([]byte("{}"))
	}
	stranger := httptest.NewServer(http.HandlerFunc(note))
	defer stranger.Close()
	target := ""
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			note(w, r)
			return
		}
		http.Redirect(w, r, target+"/moved", http.StatusMovedPermanently)
	}))
	defer api.Close()
	repository, err := Open("acme/box", api.URL, token)
	if err != nil {
		t.Fatal(err)
	}
	target = api.URL
	if _, _, err := repository.Client.Repositories.Get(t.Context(), repository.Owner, repository.Name); err != nil || len(seen) != 1 || seen[0] != "Bearer "+token {
		t.Errorf("on one host: %v, %q", err, seen)
	}
	target = stranger.URL
	_, _, err = repository.Client.Repositories.Get(t.Context(), repository.Owner, repository.Name)
	if err == nil || !strings.Contains(err.Error(), "it redirects elsewhere") || len(seen) != 1 || strings.Contains(err.Error(), token) {
		t.Errorf("to another host: %v, %q", err, seen)
	}
}
