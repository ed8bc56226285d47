package web

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/org/nixery-action/internal/serve/route"
)

// form is what somebody filled in, and what came of it.
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
	if f.Architecture != "amd64" && f.Architecture != "arm64" {
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
