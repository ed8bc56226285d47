package web

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/org/nixery-action/internal/serve"
)

const hostile = `</pre><script>alert(1)</script><img src=x onerror=alert(1)>"'` + "`"

// show asks a page for a target, as host.
func show(o PageOptions, host, target string) *httptest.ResponseRecorder {
	if o.Builds == nil {
		o.Builds = func() []serve.Build { return nil }
	}
	if o.Source == nil {
		o.Source = func() (string, string, time.Time) { return "channel nixos-unstable", "", time.Time{} }
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Host = host
	NewPage(o).ServeHTTP(w, r)
	return w
}

func TestPageMakesTheCommand(t *testing.T) {
	for target, want := range map[string]string{
		"/": "docker run --rm -it r.example:5000/shell/git/htop bash",
		"/?packages=htop+git&shell=yes&tag=latest":            "docker pull r.example:5000/shell/git/htop\ndocker run --rm -it r.example:5000/shell/git/htop bash<",
		"/?packages=git%2Cpython3Packages.requests%2F%0Ajq":   "docker pull r.example:5000/git/jq/python3packages.requests\n",
		"/?packages=git&architecture=arm64&tag=release-25.11": "docker pull r.example:5000/arm64/git:release-25.11\n",
		"/?packages=git&architecture=vax":                     "docker pull r.example:5000/git\n",
		"/?packages=&shell=yes":                               "docker pull r.example:5000/shell\n",
	} {
		if w := show(PageOptions{}, "r.example:5000", target); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d, no %q in\n%s", target, w.Code, want, body(w))
		}
	}
}

// body is what a page has below its style.
func body(w *httptest.ResponseRecorder) string {
	_, after, _ := strings.Cut(w.Body.String(), "</style>")
	return after
}

func TestPageSaysWhatIsWrong(t *testing.T) {
	for target, says := range map[string]string{
		"/?packages=":                         "Name at least one package.",
		"/?packages=+%2F+":                    "Name at least one package.",
		"/?packages=git&tag=a%3Bb":            "A tag has letters, digits",
		"/?packages=%24(reboot)":              "is not a package&#39;s name",
		"/?packages=..%2Fetc":                 "is not a package&#39;s name",
		"/?packages=amd64&architecture=arm64": "a name has one architecture",
	} {
		w := show(PageOptions{}, "r.example", target)
		if w.Code != http.StatusBadRequest || !strings.Contains(body(w), says) || strings.Contains(body(w), "docker pull") {
			t.Errorf("%s: %d, no %q in\n%s", target, w.Code, says, body(w))
		}
	}
}

func TestPageEscapesWhatOthersWrote(t *testing.T) {
	o := PageOptions{
		Version: hostile, Allow: []string{hostile},
		Builds: func() []serve.Build {
			return []serve.Build{{Name: hostile, Tag: hostile, Format: hostile, Phase: serve.Phase(hostile), Pinned: hostile, Err: hostile, Log: []string{hostile, hostile}}}
		},
		Source: func() (string, string, time.Time) { return hostile, hostile, time.Now() },
	}
	for _, target := range []string{"/", "/?packages=%3C%2Fpre%3E%3Cscript%3Ealert(1)&tag=%22onfocus%3Dx&architecture=%3Cscript%3E"} {
		w := show(o, `"><script>alert(1)</script>`, target)
		page := w.Body.String()
		if own := "<script>" + pageScript + "</script>"; strings.Count(page, own) != 1 {
			t.Error("the page lacks its own script")
		} else {
			page = strings.Replace(page, own, "", 1)
		}
		if found := regexp.MustCompile(`(?i)<script|<img|onerror="|onfocus="`).FindString(page); found != "" {
			t.Errorf("%s: %q is in the page:\n%s", target, found, body(w))
		}
	}
}

func TestPageHeaders(t *testing.T) {
	w := show(PageOptions{}, "r.example", "/")
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(w.Body.String())
	if style == nil {
		t.Fatal("there is no style")
	}
	policy := "default-src 'none'; style-src 'sha256-" + hashOf(style[1]) + "'; script-src 'sha256-" + hashOf(pageScript) + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	for name, want := range map[string]string{
		"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if other := regexp.MustCompile(`(src|href|action)="[^/"]|url\(|@import|style="`).FindString(w.Body.String()); other != "" {
		t.Errorf("the page asks for something else: %q", other)
	}
}

func TestPageShowsBuilds(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	o := PageOptions{
		Version: "v1", Allow: []string{"git", "python3Packages.*"},
		Builds: func() []serve.Build {
			return []serve.Build{
				{Name: "shell/git", Tag: "latest", Architectures: []string{"amd64", "arm64"}, Format: "docker", Phase: serve.Running, Clients: 2, Asked: began, Began: time.Now()},
				{Name: "git", Tag: "main", Format: "oci", Phase: serve.Failed, Asked: began, Began: began, Ended: began.Add(90 * time.Second), Err: "no such package", Log: []string{"one", "two"}},
				{Name: "jq", Tag: "latest", Phase: serve.Waiting, Asked: began},
			}
		},
		Source: func() (string, string, time.Time) { return "channel nixos-unstable", "nixpkgs 0123abc", began },
	}
	text := body(show(o, "r.example", "/"))
	for _, want := range []string{
		"shell/git:latest", "amd64, arm64, docker", "<dd>2</dd>", "git:main", "in 1m30s", "no such package", "one\ntwo", "jq:latest", "waiting",
		"nixpkgs 0123abc", "2 Jan 2026, 03:04 UTC", "<code>git</code>, <code>python3Packages.*</code>", "nixery-action v1",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "Digest") {
		t.Error("there is a digest of what has none")
	}
}
