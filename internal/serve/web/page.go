package web

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/org/nixery-action/internal/serve"
	"github.com/org/nixery-action/internal/serve/route"
)

var (
	//go:embed page.html
	pageText string
	//go:embed page.css
	pageStyle string
	//go:embed page.js
	pageScript string

	pageTemplate = template.Must(template.New("page").Parse(pageText))
	// The page loads nothing. Its style and its one script, which copies the command, are allowed by their hashes; a script that a
	// build's log smuggles in does not run. Its form can be sent to this server only.
	pagePolicy = fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; script-src 'sha256-%s'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		hashOf(pageStyle), hashOf(pageScript))
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
	Style, Script  template.HTML
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
		Style:   template.HTML("<style>" + pageStyle + "</style>"),    // a file of this package
		Script:  template.HTML("<script>" + pageScript + "</script>"), // the same
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

// hostOf is how the client calls this server. It is shown to that client only, and may be pasted into a shell.
func hostOf(r *http.Request) string {
	if hostForm.MatchString(r.Host) {
		return r.Host
	}
	return "localhost"
}

// buildView is a build in words.
type buildView struct{ serve.Build }

// Image is how it was asked for.
func (b buildView) Image() string { return b.Name + ":" + b.Tag }

// Class is the phase as the style sheet knows it.
func (b buildView) Class() string {
	switch b.Phase {
	case serve.Done:
		return "done"
	case serve.Failed, serve.TimedOut:
		return "failed"
	case serve.Running, serve.Waiting:
		return "running"
	}
	return "abandoned"
}

// Variant is what was made.
func (b buildView) Variant() string { return strings.Join(b.Architectures, ", ") + ", " + b.Format }

// Stamp and Day are when it was asked for: for programs, and for people.
func (b buildView) Stamp() string { return b.Asked.UTC().Format(time.RFC3339) }

// Day is that for people.
func (b buildView) Day() string { return b.Asked.UTC().Format("2 Jan 2006, 15:04:05 UTC") }

// Took is how long it ran, or has run by now.
func (b buildView) Took() string {
	switch {
	case b.Began.IsZero():
		return ""
	case b.Ended.IsZero():
		return "for " + round(time.Since(b.Began))
	}
	return "in " + round(b.Ended.Sub(b.Began))
}

func round(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// DigestText is empty if there is none.
func (b buildView) DigestText() string {
	if b.Digest.Hex == "" {
		return ""
	}
	return b.Digest.String()
}

// LogText is the log as it was written.
func (b buildView) LogText() string { return strings.Join(b.Log, "\n") }

// form is what a reader filled in, and the image that it names.
type form struct {
	Packages, Architecture, Tag string
	Shell                       bool
	Image                       string // to pull; empty if nothing, or something wrong, was asked for
	Problem                     string
}

var tagForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)

// maxField bounds what is shown again.
const maxField = 500

func readForm(q url.Values) form {
	if !q.Has("packages") {
		return form{Packages: "git htop", Shell: true, Tag: "latest"}
	}
	f := form{Packages: cut(q.Get("packages")), Architecture: q.Get("architecture"), Tag: cut(strings.TrimSpace(q.Get("tag"))), Shell: q.Get("shell") != ""}
	if !slices.Contains(route.Architectures, f.Architecture) {
		f.Architecture = ""
	}
	var parts []string
	if f.Architecture != "" {
		parts = append(parts, f.Architecture)
	}
	if f.Shell {
		parts = append(parts, "shell")
	}
	parts = append(parts, strings.FieldsFunc(f.Packages, func(r rune) bool { return strings.ContainsRune(" ,/\t\r\n", r) })...)
	name, err := route.ParseName(strings.Join(parts, "/"))
	switch {
	case len(parts) == 0:
		f.Problem = "Name at least one package."
	case err != nil:
		f.Problem = err.Error()
	case f.Tag != "" && !tagForm.MatchString(f.Tag):
		f.Problem = "A tag has letters, digits, dots, hyphens and underscores, at most 128."
	default:
		f.Image = image(name, f.Tag)
	}
	return f
}

// image is a reference without its host, in lower case: clients take no other, and packages are found ignoring case.
func image(name route.Name, tag string) string {
	image := strings.ToLower(name.String())
	if tag == "" || tag == "latest" {
		return image
	}
	return image + ":" + tag
}

func cut(s string) string {
	if len(s) > maxField {
		return strings.ToValidUTF8(s[:maxField], "")
	}
	return s
}
