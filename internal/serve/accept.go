package serve

import (
	"mime"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/nixery-action/internal/spec"
)

// maxAccepted is how many media types of an Accept header are read: clients send a dozen at the most.
const maxAccepted = 64

// accepted is what a client takes.
type accepted struct {
	format spec.Format
	index  bool
}

// parseAccept reads Accept. Docker's types come first, as they do in a spec; OCI's are for who takes no others. Who says nothing, or
// takes anything, gets one image and no index, as from other registries: such clients are older than indexes, or curl. Who takes
// nothing that there is gets that image too: the distribution specification has no answer that says no.
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
