package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/nixery-action/internal/serve/route"
)

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
