package serve

import (
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/nixery-action/internal/bounded/boundedtest"
	"github.com/org/nixery-action/internal/spec"
)

func TestTaste(t *testing.T) {
	const (
		manifest = "application/vnd.docker.distribution.manifest.v2+json"
		list     = "application/vnd.docker.distribution.manifest.list.v2+json"
		oci      = "application/vnd.oci.image.manifest.v1+json"
		index    = "application/vnd.oci.image.index.v1+json"
		schema1  = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	)
	for title, c := range map[string]struct {
		accept []string
		want   taste
	}{
		"nothing":                {nil, taste{spec.Docker, false}},
		"anything":               {[]string{"*/*"}, taste{spec.Docker, false}},
		"docker before indexes":  {[]string{manifest}, taste{spec.Docker, false}},
		"docker":                 {[]string{manifest + "," + list}, taste{spec.Docker, true}},
		"containerd":             {[]string{manifest + ", " + list + ", " + oci + ", " + index + ", */*"}, taste{spec.Docker, true}},
		"several fields":         {[]string{oci, manifest, index, list}, taste{spec.Docker, true}},
		"OCI only":               {[]string{oci + "," + index}, taste{spec.OCI, true}},
		"OCI without an index":   {[]string{oci}, taste{spec.OCI, false}},
		"an OCI index only":      {[]string{index}, taste{spec.OCI, true}},
		"docker, and an index":   {[]string{manifest + "," + index}, taste{spec.Docker, false}},
		"a refusal":              {[]string{manifest + ";q=0, " + list + ";q=0.0," + oci + ";q=0.5"}, taste{spec.OCI, false}},
		"qualities and capitals": {[]string{"Application/Vnd.OCI.Image.Index.V1+JSON; q=1"}, taste{spec.OCI, true}},
		"schema 1 only":          {[]string{schema1}, taste{spec.Docker, false}},
		"rubbish":                {[]string{",;=/,\x00", "q"}, taste{spec.Docker, false}},
	} {
		if got := tasteOf(c.accept); got != c.want {
			t.Errorf("%s: %+v, want %+v", title, got, c.want)
		}
	}
}

// A long Accept header costs little.
func TestTasteOfALongHeader(t *testing.T) {
	long := []string{strings.Repeat("a/b,", 200_000) + string(types.OCIManifestSchema1)}
	boundedtest.Within(t, 4<<20, func() {
		if got := tasteOf(long); got.format != spec.Docker || got.index {
			t.Errorf("got %v", got)
		}
	})
}
