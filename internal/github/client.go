// Package github turns a repository's name and a token into a client of GitHub's
// API. It stands apart because whoever holds a token must be equally careful
// where it goes.
//
// The token is sent to the API's host and to no other, and is in no error.
package github

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"
)

// Repository is one on GitHub. It may be used from any goroutine.
type Repository struct {
	Client      *github.Client
	Owner, Name string
}

func (r *Repository) String() string { return r.Owner + "/" + r.Name }

const timeout = 2 * time.Minute // a request; the longest sends a megabyte

// Open is the repository owner/name as slug, at an API's URL as GITHUB_API_URL
// has it; empty means github.com.
func Open(slug, api, token string) (*Repository, error) {
	owner, name, ok := strings.Cut(slug, "/")
	if !ok || owner == "" || name == "" || strings.ContainsAny(name, "/?#%") {
		return nil, fmt.Errorf("repository %q: want OWNER/NAME", slug)
	}
	if token == "" {
		return nil, errors.New("want a token in GITHUB_TOKEN")
	}
	client := github.NewClient(&http.Client{Timeout: timeout, CheckRedirect: sameHost, Transport: limited{http.DefaultTransport}}).WithAuthToken(token)
	if api != "" && api != "https://api.github.com" {
		base, err := url.Parse(strings.TrimSuffix(api, "/") + "/")
		if err != nil || !isSafe(base) {
			return nil, errors.New("want the API at an https URL: the token is sent there")
		}
		client.BaseURL = base
		client.UploadURL = uploads(base)
	}
	return &Repository{client, owner, name}, nil
}

// uploads is where assets go on a server of one's own:
// https://docs.github.com/en/enterprise-server/rest/releases/assets.
func uploads(base *url.URL) *url.URL {
	u := *base
	u.Path = strings.TrimSuffix(u.Path, "v3/") + "uploads/"
	return &u
}

func isSafe(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && ip != nil && ip.IsLoopback())
}

// sameHost keeps the token from other hosts.
func sameHost(next *http.Request, via []*http.Request) error {
	if next.URL.Host != via[0].URL.Host || next.URL.Scheme != via[0].URL.Scheme || len(via) > 5 {
		return errors.New("it redirects elsewhere")
	}
	return nil
}
