//go:build e2e

package build

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// realRegistry is docker's, with its files in dir.
func (w *workshop) realRegistry(dir string) {
	w.t.Helper()
	cmd := exec.Command("../../testdata/scripts/registry", dir)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		w.t.Fatal(err)
	}
	w.host = strings.TrimSpace(address)
}

// Docker's registry keeps a manifest whose layer's file is gone: pulls fail, and a run that does not ask for blobs succeeds.
func TestLostBlobInARealRegistry(t *testing.T) {
	w := newPinnedWorkshop(t)
	dir := t.TempDir()
	w.realRegistry(dir)
	first := w.run(&fakeNix{}, target("box", both, "app"))
	for title, lost := range map[string]v1.Hash{
		"layer": first.Images[0].Platforms[0].Layers[0].Digest, "configuration": first.Images[0].Platforms[1].Config,
	} {
		files, err := filepath.Glob(filepath.Join(dir, "images/docker/registry/v2/blobs/sha256/*", lost.Hex))
		if err != nil || len(files) != 1 {
			t.Fatalf("%s: %q, %v", title, files, err)
		}
		if err := os.RemoveAll(files[0]); err != nil {
			t.Fatal(err)
		}
		w.same("not inspected", first, w.run(&fakeNix{}, target("box", both, "app")))
		if w.pullable(lost) {
			t.Fatalf("%s: the registry has what was removed", title)
		}
		w.now = w.now.Add(inspectEvery)
		w.same("inspected", first, w.run(&fakeNix{}, target("box", both, "app")))
		if !w.pullable(lost) || !strings.Contains(w.log.String(), "the registry has lost 1 of") {
			t.Errorf("%s: it is still lost; the log is\n%s", title, &w.log)
		}
	}
}

func (w *workshop) pullable(blob v1.Hash) bool {
	w.t.Helper()
	resp, err := http.Get("http://" + w.host + "/v2/box/blobs/" + blob.String())
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
