package serve

import (
	"mime"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/nixery-action/internal/spec"
)

// mostAccepted is how many media types of an Accept header are read: clients send a dozen at the most.
const mostAccepted = 64

// taste is what a client takes.
type taste struct {
	format spec.Format
	index  bool
}

// tasteOf reads Accept. Docker's types come first, as they do in a spec; OCI's are for who takes no others. Who says nothing, or
// takes anything, gets one image and no index, as from other registries: such clients are older than indexes, or curl. Who takes
// nothing that there is gets that image too: the distribution specification has no answer that says no.
func tasteOf(accept []string) taste {
	takes := map[types.MediaType]bool{}
	fields := strings.SplitN(strings.Join(accept, ","), ",", mostAccepted+1)
	for _, field := range fields[:min(len(fields), mostAccepted)] {
		mediaType, parameters, err := mime.ParseMediaType(field)
		if err == nil && !refused(parameters["q"]) {
			takes[types.MediaType(mediaType)] = true
		}
	}
	docker := takes[types.DockerManifestSchema2] || takes[types.DockerManifestList]
	oci := takes[types.OCIManifestSchema1] || takes[types.OCIImageIndex]
	if oci && !docker {
		return taste{spec.OCI, takes[types.OCIImageIndex]}
	}
	return taste{spec.Docker, takes[types.DockerManifestList]}
}

// refused: RFC 9110, section 12.4.2, a quality of zero is "not acceptable".
func refused(quality string) bool {
	return quality != "" && strings.Trim(quality, "0.") == ""
}
