package serve

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/nixery-action/internal/blobstore"
	"github.com/org/nixery-action/internal/serve/route"
)

// maxManifest is what registries take at most: the distribution specification 1.1, "Pushing Manifests".
const maxManifest = 4 << 20

// manifest answers with a manifest: by digest what the depot has, whatever the client accepts; by tag what that stands for now.
// A HEAD by tag does as much as a GET, for clients ask for the digest so before they pull.
func (s *Server) manifest(w http.ResponseWriter, r *http.Request, n route.Name, to route.Route) (query, error) {
	if to.ByDigest() {
		digest, err := route.ParseDigest(to.Reference)
		if err != nil {
			return query{}, notFound(digestInvalid, err.Error())
		}
		return query{}, s.writeManifest(w, r, digest)
	}
	w.Header().Set("Vary", "Accept")
	q := s.queryOf(n, to.Reference, parseAccept(r.Header.Values("Accept")))
	digest, err := s.resolve(r.Context(), q)
	if err != nil {
		return q, err
	}
	return q, s.writeManifest(w, r, digest)
}

// stillStored is errUnknown if what is remembered is not in the depot. Only whoever empties it removes anything, so that nothing else
// that is remembered is there either.
func (s *Server) stillStored(ctx context.Context, digest v1.Hash) error {
	_, err := s.options.Blobs.Stat(ctx, digest)
	if errors.Is(err, blobstore.ErrNotFound) {
		s.recent.forget()
		return errUnknown
	}
	return err
}

func (s *Server) writeManifest(w http.ResponseWriter, r *http.Request, digest v1.Hash) error {
	raw, mediaType, err := s.readManifest(r.Context(), digest)
	if err != nil {
		return err
	}
	describe(w.Header(), mediaType, digest)
	return s.send(w, r, Manifest, bytes.NewReader(raw))
}

// readManifest reads a manifest whole: the depot checks its digest.
func (s *Server) readManifest(ctx context.Context, digest v1.Hash) (raw []byte, mediaType string, err error) {
	none := notFound(manifestUnknown, "this registry has no manifest "+digest.String())
	content, stored, err := s.options.Blobs.Open(ctx, digest, 0, -1)
	if errors.Is(err, blobstore.ErrNotFound) {
		return nil, "", none
	}
	if err != nil {
		return nil, "", err
	}
	defer content.Close()
	kind := types.MediaType(stored.MediaType)
	if !kind.IsImage() && !kind.IsIndex() || stored.Size > maxManifest {
		return nil, "", none
	}
	raw, err = io.ReadAll(content)
	return raw, stored.MediaType, err
}

// describe sets what is said of content that has a digest.
func describe(h http.Header, mediaType string, digest v1.Hash) {
	h.Set("Content-Type", mediaType)
	h.Set("Docker-Content-Digest", digest.String())
	h.Set("ETag", `"`+digest.String()+`"`)
	h.Set("X-Content-Type-Options", "nosniff")
}

// send lets net/http see to lengths, ranges and conditions. Content that breaks off ends the connection, so that nobody takes the
// part for the whole.
func (s *Server) send(w http.ResponseWriter, r *http.Request, what Sort, content io.ReadSeeker) error {
	oneRange(r)
	http.ServeContent(w, r, "", time.Time{}, content)
	if p, ok := w.(*deadlineWriter); ok && p.sent > 0 && s.options.Hooks.Sent != nil {
		s.options.Hooks.Sent(what, p.sent)
	}
	return nil
}
