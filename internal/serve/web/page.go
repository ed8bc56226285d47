package web

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"regexp"
	"time"

	"github.com/org/nixery-action/internal/serve"
)

var (
	//go:embed page.html
	pageText string
	//go:embed page.css
	pageStyle string

	pageTemplate = template.Must(template.New("page").Parse(pageText))
	// The page has no script, and loads nothing. Its style is known by its hash, and its form can be sent to this server only.
	pagePolicy = fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'", hashOf(pageStyle))
)

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// PageOptions is what the page shows.
type PageOptions struct {
	Version string
	Builds  func() []serve.Build                           // the newest first
	Source  func() (source, pinned string, when time.Time) // of the packages, see serve.Server
	Allow   []string                                       // what may be pulled; none means all
}

// NewPage returns the page at /: what this is, how to pull, what was built. All that others wrote, a build's log above all, is text to it.
func NewPage(o PageOptions) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := newView(o, r)
		var page bytes.Buffer
		if err := pageTemplate.Execute(&page, v); err != nil {
			panic(fmt.Errorf("writing the page: %w", err)) // a template that cannot be is told by its tests
		}
		for name, value := range map[string]string{
			"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": pagePolicy, "Referrer-Policy": "no-referrer",
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Content-Length": fmt.Sprint(page.Len()),
		} {
			w.Header().Set(name, value)
		}
		w.WriteHeader(v.status)
		_, _ = w.Write(page.Bytes())
	})
}

// view is the page's content.
type view struct {
	Style          template.HTML
	Version        string
	Source, Pinned string
	When           time.Time
	Allow          []string
	Host           string
	Form           form
	Builds         []buildView
	status         int
}

func newView(o PageOptions, r *http.Request) view {
	v := view{
		Style:   template.HTML("<style>" + pageStyle + "</style>"), // our own file
		Version: o.Version, Host: hostOf(r), Form: readForm(r.URL.Query()), Allow: o.Allow, status: http.StatusOK,
	}
	if v.Form.Problem != "" {
		v.status = http.StatusBadRequest
	}
	v.Source, v.Pinned, v.When = o.Source()
	for _, b := range o.Builds() {
		v.Builds = append(v.Builds, buildView{b})
	}
	return v
}

var hostForm = regexp.MustCompile(`^[A-Za-z0-9.:\[\]-]{1,255}$`)

// hostOf is how the client calls this server. It is shown to that client only, who may paste it into a shell.
func hostOf(r *http.Request) string {
	if hostForm.MatchString(r.Host) {
		return r.Host
	}
	return "localhost"
}
