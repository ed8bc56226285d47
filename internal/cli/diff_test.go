package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	blank "github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/nixery-action/internal/explain"
	"github.com/org/nixery-action/internal/redact"
)

const (
	libPath = "/nix/store/00000000000000000000000000000000-lib-1.0"
	appPath = "/nix/store/11111111111111111111111111111111-app-1.0"
	newPath = "/nix/store/22222222222222222222222222222222-app-1.1"
)

// imageOf has a layer for each store path, whose bytes are the path itself.
func imageOf(t *testing.T, arch string, paths ...string) v1.Image {
	t.Helper()
	img, err := mutate.ConfigFile(blank.Image, &v1.ConfigFile{OS: "linux", Architecture: arch})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		img, err = mutate.Append(img, mutate.Addendum{
			Layer: static.NewLayer([]byte(p), types.DockerLayer), History: v1.History{Comment: p},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return img
}

// boxes are an index before and after app has a new version; on arm64 nothing changes.
func boxes(t *testing.T) (before, after v1.ImageIndex) {
	index := func(images ...v1.Image) v1.ImageIndex {
		var idx v1.ImageIndex = blank.Index
		for _, img := range images {
			config, err := img.ConfigFile()
			if err != nil {
				t.Fatal(err)
			}
			idx = mutate.AppendManifests(idx, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: config.Platform()}})
		}
		attestation := v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}
		return mutate.AppendManifests(idx, mutate.IndexAddendum{Add: imageOf(t, "unknown", "in-toto"), Descriptor: attestation})
	}
	arm := imageOf(t, "arm64", libPath, appPath)
	return index(imageOf(t, "amd64", libPath, appPath), arm), index(imageOf(t, "amd64", libPath, newPath), arm)
}

// inALayout puts both into one layout, as DIR:old and DIR:new.
func inALayout(t *testing.T, before, after v1.ImageIndex) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layout")
	path, err := layout.Write(dir, blank.Index)
	if err != nil {
		t.Fatal(err)
	}
	for tag, index := range map[string]v1.ImageIndex{"old": before, "new": after} {
		if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{refName: tag})); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// inARegistry puts both into one repository, as REPOSITORY:old and REPOSITORY:new.
func inARegistry(t *testing.T, before, after v1.ImageIndex) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	repository := strings.TrimPrefix(server.URL, "http://") + "/acme/box"
	for tag, index := range map[string]v1.ImageIndex{"old": before, "new": after} {
		ref, err := name.ParseReference(repository + ":" + tag)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.WriteIndex(ref, index); err != nil {
			t.Fatal(err)
		}
	}
	return repository
}

// runDiff runs the command, and returns what it prints.
func runDiff(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var stdout bytes.Buffer
	c := &console{stdout: &stdout, stderr: redact.NewWriter(io.Discard), log: slog.New(slog.DiscardHandler)}
	err := execute(t.Context(), c, append([]string{"diff"}, args...))
	return stdout.String(), err
}

func TestDiffImages(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	before, after := boxes(t)
	for medium, where := range map[string]string{"layout": inALayout(t, before, after), "registry": inARegistry(t, before, after)} {
		text, err := runDiff(t, where+":old", where+":new", "--format", "json")
		if err != nil {
			t.Fatalf("%s: %v", medium, err)
		}
		var got struct{ Differences []explain.Difference }
		if err := json.Unmarshal([]byte(text), &got); err != nil || len(got.Differences) != 2 {
			t.Fatalf("%s: %v in %s", medium, err, text)
		}
		one := explain.Amount{Layers: 1, Size: int64(len(libPath))}
		two := explain.Amount{Layers: 2, Size: int64(2 * len(libPath))}
		amd, arm := got.Differences[0], got.Differences[1]
		if want := (explain.LayerDifference{Old: two, New: two, Shared: one, Added: one, Removed: one}); amd.Platform != "linux/amd64" || amd.Layers != want {
			t.Errorf("%s: %s %+v, want %+v", medium, amd.Platform, amd.Layers, want)
		}
		if len(amd.Paths.Updated) != 1 || amd.Paths.Updated[0].Old.Path != appPath || amd.Paths.Updated[0].New.Path != newPath {
			t.Errorf("%s: %+v", medium, amd.Paths)
		}
		if arm.Platform != "linux/arm64" || arm.Layers.Shared != two || arm.Paths.Shared != 2 {
			t.Errorf("%s: %+v", medium, arm)
		}
		text, err = runDiff(t, where+":old", where+":new", "--platform", "linux/amd64")
		if err != nil || !strings.Contains(text, "updated  app  1.0 -> 1.1\n") || strings.Contains(text, "arm64") {
			t.Errorf("%s: got %s, %v", medium, text, err)
		}
	}
}

func TestDiffBadOperands(t *testing.T) {
	before, after := boxes(t)
	dir := inALayout(t, before, after)
	closure := filepath.Join(t.TempDir(), "closure.json")
	if err := os.WriteFile(closure, []byte(`[{"path":"`+libPath+`","narSize":1,"references":[]}]`), 0o644); err != nil {
		t.Fatal(err)
	}
	for title, c := range map[string]struct {
		args []string
		want string
	}{
		"one operand":      {[]string{closure}, "accepts 2 arg(s), received 1"},
		"graph":            {[]string{closure, closure, "--format", "dot"}, `format "dot": want table, json or markdown`},
		"closure missing":  {[]string{closure, "other.json"}, `"other.json" is no file and no directory`},
		"closure in dir":   {[]string{closure, "../up/other.json"}, `"../up/other.json" is no file and no directory`},
		"docker hub":       {[]string{"debian:12", "debian:13"}, "no reference with its registry"},
		"mixed":            {[]string{closure, dir + ":new"}, "compare two of a kind"},
		"several images":   {[]string{dir, dir}, "choose one, DIR:TAG"},
		"no such image":    {[]string{dir + ":v3", dir + ":new"}, `it has no image "v3", but "`},
		"no layout":        {[]string{filepath.Dir(closure), dir + ":new"}, "is no OCI layout"},
		"no such platform": {[]string{dir + ":old", dir + ":new", "--platform", "linux/s390x"}, "s390x"},
	} {
		text, err := runDiff(t, c.args...)
		if err == nil || !strings.Contains(err.Error(), c.want) || !isBadInput(err) || text != "" {
			t.Errorf("%s: got %q, %v; want %q", title, text, err, c.want)
		}
	}
}

// A layout is another program's directory: what is in it must be what it says.
func TestDiffChecksALayout(t *testing.T) {
	before, after := boxes(t)
	for want, spoil := range map[string]func([]byte) []byte{
		"has the digest": func(raw []byte) []byte { return bytes.Replace(raw, []byte("amd64"), []byte("arm64"), 1) },
		"has more than":  func([]byte) []byte { return make([]byte, maxManifest+1) },
	} {
		dir := inALayout(t, before, after)
		blobs, err := filepath.Glob(filepath.Join(dir, "blobs/sha256/*"))
		if err != nil || len(blobs) == 0 {
			t.Fatal(blobs, err)
		}
		for _, file := range blobs {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, spoil(raw), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if text, err := runDiff(t, dir+":old", dir+":new"); err == nil || !strings.Contains(err.Error(), want) || text != "" || isBadInput(err) {
			t.Errorf("got %q, %v; want an error that says it %s", text, err, want)
		}
	}
}
