package registry

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxManifest is what a registry's answer about a manifest may have, in bytes: the distribution specification lets
// registries refuse manifests over 4 MiB.
const maxManifest = 8 << 20

// bound limits the body of an answer about manifests or tags. Blobs have the limits of those who read them.
func bound(req *http.Request, resp *http.Response) {
	if strings.Contains(req.URL.Path, "/manifests/") || strings.HasSuffix(req.URL.Path, "/tags/list") {
		resp.Body = &boundedBody{resp.Body, maxManifest}
	}
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("the registry's answer has more than %d bytes", maxManifest)
	}
	return n, err
}
