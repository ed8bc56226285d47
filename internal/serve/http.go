package serve

import (
	"context"
	"errors"
	"net/http"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Handler answers all requests below /v2/: the pull side of the OCI distribution specification 1.1. It sets a deadline for each chunk
// that it writes, so the http.Server around it must have none for whole answers: a build may take its time.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := newPaced(w, s.options.Stall)
		defer p.finish()
		p.Header().Set("Docker-Distribution-API-Version", "registry/2.0")
		q, err := s.answer(p, r)
		if err == nil {
			return
		}
		f := s.faultOf(q, err)
		if f.status >= http.StatusInternalServerError && r.Context().Err() == nil {
			s.options.Log.Warn("a request was answered with an error", "method", r.Method, "path", r.URL.Path, "status", f.status, "cause", s.plain(err.Error()))
		}
		f.write(p)
	})
}

// answer writes an answer, or returns the error that is to be one. The query is of use for errors only.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) (query, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return query{}, &fault{status: http.StatusMethodNotAllowed, code: unsupported, allow: "GET, HEAD",
			message: "this registry makes its images itself: there is nothing to push or delete"}
	}
	if r.URL.Path == "/v2/" || r.URL.Path == "/v2" {
		return query{}, writeJSON(w, r, "application/json", struct{}{})
	}
	to, err := routeOf(r.URL.Path)
	if err != nil {
		return query{}, err
	}
	n, err := s.allowed(to.name)
	if err != nil {
		return query{}, err
	}
	switch to.what {
	case toBlob:
		return query{}, s.blob(w, r, to.reference)
	case toTags:
		return query{}, s.tags(w, r, to.name, n)
	case toReferrers:
		return query{}, s.referrers(w, r, to.reference)
	}
	return s.manifest(w, r, n, to.reference)
}

// What a route leads to.
const (
	toManifest  = "manifests"
	toBlob      = "blobs"
	toReferrers = "referrers"
	toTags      = "tags"
)

// route is a path's parts. What it leads to is told by its end, as a package may have any name.
type route struct{ what, name, reference string }

func routeOf(path string) (route, error) {
	none := absent(nameUnknown, "there is nothing at this path; an image's is /v2/<package>/…/manifests/<tag>")
	rest, below := strings.CutPrefix(path, "/v2/")
	parts := strings.Split(rest, "/")
	if !below || len(parts) < 3 {
		return route{}, none
	}
	name := strings.Join(parts[:len(parts)-2], "/")
	switch what, reference := parts[len(parts)-2], parts[len(parts)-1]; {
	case what == toTags && reference == "list":
		return route{toTags, name, ""}, nil
	case what == toManifest || what == toBlob || what == toReferrers:
		return route{what, name, reference}, nil
	}
	return route{}, none
}

// allowed reads a name, and refuses it if the registry's settings do.
func (s *Server) allowed(name string) (Name, error) {
	n, err := ParseName(name)
	if err != nil {
		return n, absent(nameInvalid, err.Error())
	}
	if pkg, no := n.denied(s.options.Allow); no {
		return n, &fault{status: http.StatusForbidden, code: denied, message: "this registry does not serve the package " + pkg}
	}
	return n, nil
}

// digestIn reads a digest, if the reference is one. Nothing else has a colon.
func digestIn(reference string) (digest v1.Hash, is bool, err error) {
	if !strings.Contains(reference, ":") {
		return v1.Hash{}, false, nil
	}
	digest, err = v1.NewHash(reference)
	if err != nil || digest.Algorithm != "sha256" {
		return digest, true, absent(digestInvalid, "a digest here is sha256: and 64 hexadecimal digits, in lower case")
	}
	return digest, true, nil
}

// resolve finds the digest of what a query wants, by memory or by a build. remembered is false if it took one.
func (s *Server) resolve(ctx context.Context, q query) (digest v1.Hash, remembered bool, err error) {
	source, _, err := tagSource(s.options.Source, q.tag)
	if err != nil {
		code := manifestUnknown
		if errors.Is(err, errTag) {
			code = tagInvalid
		}
		return digest, false, absent(code, err.Error())
	}
	key, err := s.key(q, source)
	if err != nil {
		return digest, false, err
	}
	digest, err = s.recent.look(ctx, q, key)
	if err == nil {
		err = s.stillThere(ctx, digest, key)
	}
	remembered = !errors.Is(err, errUnknown)
	if s.options.Hooks.Resolved != nil {
		s.options.Hooks.Resolved(remembered)
	}
	if !remembered {
		digest, err = s.builds.join(ctx, q, s.secrets)
	}
	return digest, remembered, err
}
