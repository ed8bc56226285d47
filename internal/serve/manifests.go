package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/nixery-action/internal/blobstore"
	"github.com/org/nixery-action/internal/serve/route"
	"github.com/org/nixery-action/internal/spec"
)

// maxManifest is what registries take at most: the distribution specification 1.1, "Pushing Manifests".
const maxManifest = 4 << 20

// manifest handles GET and HEAD /v2/<name>/manifests/<reference>. A digest is looked up in the blobstore, whatever the client accepts;
// a tag is resolved, by a build if needed. A HEAD does as much as a GET: clients ask for the digest so before they pull.
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

// stillStored returns errUnknown if a remembered manifest is not in the blobstore. The server itself deletes nothing, so the store was
// emptied by hand, and everything else that is remembered is gone, too.
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

// readManifest reads a manifest whole: the blobstore checks its digest.
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

// send lets net/http see to lengths, ranges and conditions. Content that breaks off ends the connection, so that no client takes the
// part for the whole.
func (s *Server) send(w http.ResponseWriter, r *http.Request, what Sort, content io.ReadSeeker) error {
	oneRange(r)
	http.ServeContent(w, r, "", time.Time{}, content)
	if p, ok := w.(*deadlineWriter); ok && p.sent > 0 && s.options.Hooks.Sent != nil {
		s.options.Hooks.Sent(what, p.sent)
	}
	return nil
}

// maxAccepted is how many media types of an Accept header are read: clients send a dozen at the most.
const maxAccepted = 64

// accepted is the kind of manifest that a client gets.
type accepted struct {
	format spec.Format
	index  bool
}

// parseAccept reads Accept headers. Docker's types are preferred, as in a spec; OCI's are for clients that accept no others:
//
//	(none), or */*                              ▶ Docker, a single-platform manifest: such clients are older than indexes, or curl
//	…docker.distribution.manifest.list.v2+json ▶ Docker, an index
//	…oci.image.index.v1+json                   ▶ OCI, an index
//	text/html                                  ▶ Docker, a single-platform manifest: the specification has no refusal
func parseAccept(accept []string) accepted {
	takes := map[types.MediaType]bool{}
	fields := strings.SplitN(strings.Join(accept, ","), ",", maxAccepted+1)
	for _, field := range fields[:min(len(fields), maxAccepted)] {
		mediaType, parameters, err := mime.ParseMediaType(field)
		if err == nil && !refused(parameters["q"]) {
			takes[types.MediaType(mediaType)] = true
		}
	}
	docker := takes[types.DockerManifestSchema2] || takes[types.DockerManifestList]
	oci := takes[types.OCIManifestSchema1] || takes[types.OCIImageIndex]
	if oci && !docker {
		return accepted{spec.OCI, takes[types.OCIImageIndex]}
	}
	return accepted{spec.Docker, takes[types.DockerManifestList]}
}

// refused: RFC 9110, section 12.4.2, a quality of zero is "not acceptable".
func refused(quality string) bool {
	return quality != "" && strings.Trim(quality, "0.") == ""
}

// tags lists latest, and what else the image was pulled by lately: there are as many tags as the package set has commits. n and last
// are those of the distribution specification 1.1, "Listing Tags".
func (s *Server) tags(w http.ResponseWriter, r *http.Request, name string, n route.Name) error {
	all, digest := s.recent.tags(n.Image())
	if len(all) > 0 {
		switch err := s.stillStored(r.Context(), digest); {
		case errors.Is(err, errUnknown):
			all = nil
		case err != nil:
			return err
		}
	}
	all = append(all, latest)
	slices.Sort(all)
	all = slices.Compact(all)
	if last := r.URL.Query().Get("last"); last != "" {
		all = slices.DeleteFunc(all, func(tag string) bool { return tag <= last })
	}
	if text := r.URL.Query().Get("n"); text != "" {
		most, err := strconv.Atoi(text)
		if err != nil || most < 0 {
			return &apiError{status: http.StatusBadRequest, code: unsupported, message: "n is how many tags to list, from 0 on"}
		}
		if most < len(all) && most > 0 {
			next := url.Values{"n": {text}, "last": {all[most-1]}}
			w.Header().Set("Link", "</v2/"+name+"/tags/list?"+next.Encode()+`>; rel="next"`)
		}
		all = all[:min(most, len(all))]
	}
	return writeJSON(w, r, "application/json", struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{name, all})
}

// referrers is an empty index: nothing here refers to an image. A registry without this is asked for a tag of another form.
func (s *Server) referrers(w http.ResponseWriter, r *http.Request, reference string) error {
	if _, err := route.ParseDigest(reference); err != nil {
		return &apiError{status: http.StatusBadRequest, code: digestInvalid, message: err.Error()}
	}
	if r.URL.Query().Get("artifactType") != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	return writeJSON(w, r, string(types.OCIImageIndex), v1.IndexManifest{
		SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{},
	})
}

func writeJSON(w http.ResponseWriter, r *http.Request, mediaType string, value any) error {
	content, err := json.Marshal(value)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", mediaType)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	return nil
}
