package web

import (
	"net/http"
	"net/url"
	"strings"
)

// noWebPages keeps web pages from pulling: any page that a user of this network looks at could have images built here, without that
// user's knowledge. Clients of registries are no browsers. Our own page has no script.
func noWebPages(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fromWebPage(r) {
			refuse(w, http.StatusForbidden, "DENIED", "web pages cannot pull from this registry; use a client for containers, as docker pull")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// fromWebPage reports whether a browser sent the request on behalf of a page of another origin. Over plain HTTP browsers say so for
// loopback only, see https://www.w3.org/TR/fetch-metadata/: elsewhere every request of a browser counts as one.
func fromWebPage(r *http.Request) bool {
	sites := r.Header.Values("Sec-Fetch-Site")
	for _, site := range sites {
		if site = strings.ToLower(strings.TrimSpace(site)); site != "none" && site != "same-origin" {
			return true
		}
	}
	for _, origin := range r.Header.Values("Origin") {
		if u, err := url.Parse(origin); err != nil || u.Host == "" || withoutPort(u.Host) != withoutPort(r.Host) {
			return true
		}
	}
	return len(sites) == 0 && strings.HasPrefix(r.UserAgent(), "Mozilla/")
}

// withoutPort drops the ports that go without saying, so that origins behind a proxy with TLS compare.
func withoutPort(host string) string {
	host = strings.ToLower(host)
	for _, port := range []string{":80", ":443"} {
		if rest, ok := strings.CutSuffix(host, port); ok {
			return rest
		}
	}
	return host
}
