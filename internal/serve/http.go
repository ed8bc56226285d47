package serve

import (
	"context"
	"errors"
	"net/http"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/serve/route"
)

// Handler answers all requests below /v2/: the pull side of the OCI distribution specification 1.1. It sets a deadline for each chunk
// that it writes, so the http.Server around it must have none for whole answers: a build may take its time.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := newDeadlineWriter(w, s.options.Stall)
		p.Header().Set("Docker-Distribution-API-Version", "registry/2.0")
		q, err := s.answer(p, r)
		if err == nil {
			return
		}
		f := s.apiErrorOf(q, err)
		if f.status >= http.StatusInternalServerError && r.Context().Err() == nil {
			s.options.Log.Warn("a request was answered with an error", "method", r.Method, "path", r.URL.EscapedPath(), "status", f.status, "cause", s.plain(err.Error()))
		}
		f.write(p)
	})
}

// answer writes an answer, or returns the error that is to be one. The query is of use for errors only.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) (query, error) {
	to, ok := route.Parse(r.URL.Path)
	if !to.WellFormed() { // nothing can be there, whatever the method: the specification's conformance suite asks by PUT
		return query{}, notFound(digestInvalid, route.ErrNoDigest.Error())
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return query{}, &apiError{status: http.StatusMethodNotAllowed, code: unsupported, allow: "GET, HEAD",
			message: "this registry makes its images itself: there is nothing to push or delete"}
	}
	if r.URL.Path == "/v2/" || r.URL.Path == "/v2" {
		return query{}, writeJSON(w, r, "application/json", struct{}{})
	}
	if !ok {
		return query{}, notFound(nameUnknown, "there is nothing at this path; an image's is /v2/<package>/…/manifests/<tag>")
	}
	n, err := s.readName(to.Name)
	if err != nil {
		return query{}, err
	}
	switch to.What {
	case route.Blob:
		return query{}, s.blob(w, r, to.Reference)
	case route.Tags:
		return query{}, s.tags(w, r, to.Name, n)
	case route.Referrers:
		return query{}, s.referrers(w, r, to.Reference)
	}
	return s.manifest(w, r, n, to)
}

// resolve finds the digest of what a query wants, by memory or by a build.
func (s *Server) resolve(ctx context.Context, q query) (digest v1.Hash, err error) {
	source, _, err := s.tagSource(q.tag)
	if err != nil {
		code := manifestUnknown
		if errors.Is(err, errTag) {
			code = tagInvalid
		}
		return digest, notFound(code, err.Error())
	}
	key, err := s.key(q, source)
	if err != nil {
		return digest, err
	}
	digest, err = s.recent.look(ctx, q, key)
	if err == nil {
		err = s.stillStored(ctx, digest)
	}
	remembered := !errors.Is(err, errUnknown)
	if s.options.Hooks.Resolved != nil {
		s.options.Hooks.Resolved(remembered)
	}
	if !remembered {
		digest, err = s.builds.join(ctx, q, s.secrets)
	}
	return digest, err
}

// deadlineWriter gives a client some time for each chunk, however long the whole takes: one that has stopped reading is let go, and one that is
// slow is not.
type deadlineWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
	sent    int64 // bytes of content
}

func newDeadlineWriter(w http.ResponseWriter, stall time.Duration) *deadlineWriter {
	return &deadlineWriter{ResponseWriter: w, control: http.NewResponseController(w), stall: stall}
}

func (p *deadlineWriter) Write(chunk []byte) (int, error) {
	if err := p.until(time.Now().Add(p.stall)); err != nil {
		return 0, err
	}
	n, err := p.ResponseWriter.Write(chunk)
	p.sent += int64(n)
	return n, err
}

// Unwrap is for [http.ResponseController].
func (p *deadlineWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// until sets the deadline, which net/http takes back when the answer is over.
func (p *deadlineWriter) until(deadline time.Time) error {
	err := p.control.SetWriteDeadline(deadline)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil // a recorder in a test has no connection
	}
	return err
}
