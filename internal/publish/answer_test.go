package publish

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/nixery-action/internal/registry"
	"github.com/org/nixery-action/internal/retry"
)

// A registry whose manifest has no end is left, and nothing of it is held.
func TestManifestWithoutAnEnd(t *testing.T) {
	for _, kind := range []types.MediaType{types.DockerManifestSchema2, types.DockerManifestList, types.OCIImageIndex} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v2/" {
				return
			}
			w.Header().Set("Content-Type", string(kind))
			_, err := w.Write([]byte(`{"layers":[`))
			for piece := bytes.Repeat([]byte(`{},`), 10_000); err == nil; {
				_, err = w.Write(piece)
			}
		}))
		ref, err := name.NewTag(strings.TrimPrefix(server.URL, "http://") + "/acme/box:latest")
		if err != nil {
			t.Fatal(err)
		}
		r := registry.New(registry.Options{Retry: retry.Policy{Attempts: 1}})
		if _, _, err := r.Pull(t.Context(), ref); err == nil || !strings.Contains(err.Error(), "more than 8388608 bytes") {
			t.Errorf("%s: got %v", kind, err)
		}
		server.Close()
	}
}

// A layout's files are not read whole just because they are there.
func TestLayoutFilesWithoutAnEnd(t *testing.T) {
	for _, file := range []string{"oci-layout", "index.json"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(dir, file), 1<<40); err != nil {
			t.Fatal(err)
		}
		if err := checkLayout(dir); err == nil || !strings.Contains(err.Error(), "more than 8388608 bytes") {
			t.Errorf("%s: got %v", file, err)
		}
	}
}
