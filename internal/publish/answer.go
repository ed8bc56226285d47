package publish

import (
	"fmt"
	"io"
	"net/http"
	"os"
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

// readSmall reads a file that describes others.
func readSmall(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err == nil && len(raw) > maxManifest {
		err = fmt.Errorf("%s has more than %d bytes", file, maxManifest)
	}
	return raw, err
}
