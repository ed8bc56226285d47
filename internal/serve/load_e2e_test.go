//go:build e2e

package serve

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"
)

// loadedImages are twenty, of Debian's programs in the orders that people think of.
var loadedImages = []string{
	"bash", "shell", "jq", "git", "curl", "nano", "coreutils", "netbase", "python3Minimal", "bash/coreutils", "bash/jq", "bash/nano", "bash/curl",
	"jq/coreutils", "curl/jq", "nano/coreutils", "nano/jq/bash", "curl/coreutils", "bash/coreutils/jq", "arm64/bash/jq/curl",
}

// TestLoad: 200 clients at once want 20 images of which there is none. Each is built once, no client gets an error, every byte that comes is
// hashed, and memory does not grow with any of it.
func TestLoad(t *testing.T) {
	r, builds := newRealRegistry(t, debian(t), func(o *Options) { o.Queue = 100 })
	heap := watchHeap(t)
	var bytes atomic.Int64
	began := time.Now()
	var tasks errgroup.Group
	for i := range 200 {
		tasks.Go(func() error {
			n, err := pullAll(r.url, loadedImages[i%len(loadedImages)])
			bytes.Add(n)
			return err
		})
	}
	if err := tasks.Wait(); err != nil {
		t.Error(err)
	}
	peak := heap()
	t.Logf("%.1f s, %d MB pulled, %d runs of nix-build, at most %d MB of heap", time.Since(began).Seconds(), bytes.Load()>>20, builds.Load(), peak>>20)
	if all := r.Builds(); len(all) != len(loadedImages) {
		t.Errorf("%d builds", len(all))
	}
	if n := builds.Load(); n != int64(len(loadedImages)) {
		t.Errorf("%d runs of nix-build for %d images", n, len(loadedImages))
	}
	if peak > 512<<20 {
		t.Errorf("the heap had %d MB", peak>>20)
	}
}

// watchHeap looks at the heap until the function that it returns is called, which tells the most that there was.
func watchHeap(t *testing.T) func() uint64 {
	var peak uint64
	stop, stopped := make(chan struct{}), sync.WaitGroup{}
	stopped.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	})
	return func() uint64 {
		close(stop)
		stopped.Wait()
		return peak
	}
}

// pullAll pulls an index with all its images, or an image, and hashes each byte.
func pullAll(url, name string) (n int64, err error) {
	raw, digest, err := pullManifest(url, name, "latest")
	if err != nil {
		return 0, err
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(raw))
	if err != nil {
		return 0, err
	}
	if !index.MediaType.IsIndex() {
		return pullImage(url, name, digest)
	}
	for _, d := range index.Manifests {
		m, err := pullImage(url, name, d.Digest.String())
		if n += m; err != nil {
			return n, err
		}
	}
	return n, nil
}

func pullImage(url, name, digest string) (n int64, err error) {
	raw, _, err := pullManifest(url, name, digest)
	if err != nil {
		return 0, err
	}
	m, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return 0, err
	}
	for _, d := range append(m.Layers, m.Config) {
		if err := hashed(url+"/v2/"+name+"/blobs/"+d.Digest.String(), d.Digest.String(), io.Discard); err != nil {
			return n, err
		}
		n += d.Size
	}
	return n, nil
}

func pullManifest(url, name, reference string) (raw []byte, digest string, err error) {
	if strings.HasPrefix(reference, "sha256:") {
		digest = reference
	}
	var content bytes.Buffer
	err = hashed(url+"/v2/"+name+"/manifests/"+reference, digest, &content)
	return content.Bytes(), fmt.Sprintf("sha256:%x", sha256.Sum256(content.Bytes())), err
}

// hashed reads what is at an address, which must have a digest: its own, if none is given.
func hashed(address, digest string, to io.Writer) error {
	request, err := http.NewRequest(http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", dockerTypes)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	hash := sha256.New()
	if _, err := io.Copy(io.MultiWriter(hash, to), answer.Body); err != nil {
		return fmt.Errorf("%s: %w", address, err)
	}
	if digest == "" {
		digest = answer.Header.Get("Docker-Content-Digest")
	}
	if got := fmt.Sprintf("sha256:%x", hash.Sum(nil)); answer.StatusCode != http.StatusOK || got != digest {
		return fmt.Errorf("%s: %s, %s", address, answer.Status, got)
	}
	return nil
}
