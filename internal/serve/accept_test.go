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
		want   accepted
	}{
		"nothing":                {nil, accepted{spec.Docker, false}},
		"anything":               {[]string{"*/*"}, accepted{spec.Docker, false}},
		"docker before indexes":  {[]string{manifest}, accepted{spec.Docker, false}},
		"docker":                 {[]string{manifest + "," + list}, accepted{spec.Docker, true}},
		"containerd":             {[]string{manifest + ", " + list + ", " + oci + ", " + index + ", */*"}, accepted{spec.Docker, true}},
		"several fields":         {[]string{oci, manifest, index, list}, accepted{spec.Docker, true}},
		"OCI only":               {[]string{oci + "," + index}, accepted{spec.OCI, true}},
		"OCI without an index":   {[]string{oci}, accepted{spec.OCI, false}},
		"an OCI index only":      {[]string{index}, accepted{spec.OCI, true}},
		"docker, and an index":   {[]string{manifest + "," + index}, accepted{spec.Docker, false}},
		"a refusal":              {[]string{manifest + ";q=0, " + list + ";q=0.0," + oci + ";q=0.5"}, accepted{spec.OCI, false}},
		"qualities and capitals": {[]string{"Application/Vnd.OCI.Image.Index.V1+JSON; q=1"}, accepted{spec.OCI, true}},
		"schema 1 only":          {[]string{schema1}, accepted{spec.Docker, false}},
		"rubbish":                {[]string{",;=/,\x00", "q"}, accepted{spec.Docker, false}},
	} {
		if got := parseAccept(c.accept); got != c.want {
			t.Errorf("%s: %+v, want %+v", title, got, c.want)
		}
	}
}

// A long Accept header costs little.
func TestTasteOfALongHeader(t *testing.T) {
	long := []string{strings.Repeat("a/b,", 200_000) + string(types.OCIManifestSchema1)}
	boundedtest.Within(t, 4<<20, func() {
		if got := parseAccept(long); got.format != spec.Docker || got.index {
			t.Errorf("got %v", got)
		}
	})
}
