package publish

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/org/nixery-action/internal/registry/registrytest"
)

func tagOf(t *testing.T, ref string) name.Tag {
	t.Helper()
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	return tag
}

// twoPlatforms is an artifact of two platforms that share a layer, and its layers.
func twoPlatforms(t *testing.T, refs ...string) (Artifact, []*registrytest.Layer) {
	t.Helper()
	shared, amd, arm := registrytest.NewLayer(t, 1, 50_000), registrytest.NewLayer(t, 2, 20_000), registrytest.NewLayer(t, 3, 20_000)
	a := Artifact{Name: "box", Index: registrytest.IndexOf(registrytest.ImageOf(t, "amd64", shared, amd), registrytest.ImageOf(t, "arm64", shared, arm))}
	for _, ref := range refs {
		a.Tags = append(a.Tags, tagOf(t, ref))
	}
	return a, []*registrytest.Layer{shared, amd, arm}
}

// refNames returns the names in a layout's index.json with their digests, in order.
func refNames(t *testing.T, dir string) []string {
	t.Helper()
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range manifest.Manifests {
		names = append(names, d.Annotations[refNameAnnotation]+" "+d.Annotations[imageNameAnnotation]+" "+d.Digest.Hex[:6])
	}
	return names
}

func TestLayoutDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "some", "layout")
	artifact, layers := twoPlatforms(t, "r.example/acme/box:latest", "box:1")
	var sent atomic.Int64
	digests, err := Layout{Path: dir, Sent: func(n int64) { sent.Add(n) }}.Publish(t.Context(), []Artifact{artifact})
	if err != nil {
		t.Fatal(err)
	}
	var size int64
	for _, layer := range layers {
		size += layer.Bytes
		if layer.Opens.Load() != 1 || layer.Live.Load() != 0 {
			t.Errorf("a layer was opened %d times, and %d streams are open", layer.Opens.Load(), layer.Live.Load())
		}
	}
	if sent.Load() != size {
		t.Errorf("%d bytes are said to be written, want %d", sent.Load(), size)
	}
	checkLayoutHolds(t, dir, digests[0])
	short := digests[0].Hex[:6]
	want := []string{"latest r.example/acme/box:latest " + short, "1 docker.io/library/box:1 " + short}
	if got := refNames(t, dir); !slices.Equal(got, want) {
		t.Errorf("index.json names %q, want %q", got, want)
	}
	reg := registrytest.NewRegistry(t)
	again, _ := twoPlatforms(t, reg.Host()+"/box:1")
	pushed, err := NewRegistry(RegistryOptions{}).Publish(t.Context(), []Artifact{again})
	if err != nil || pushed[0] != digests[0] {
		t.Errorf("the registry has %v, %v; the layout %v", pushed, err, digests)
	}
	for _, path := range allFiles(t, dir) {
		if strings.Contains(path, ".nixery") {
			t.Errorf("%s was left", path)
		}
	}
}

func checkLayoutHolds(t *testing.T, dir string, digest v1.Hash) {
	t.Helper()
	root, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	index, err := root.ImageIndex(digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
}

func allFiles(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestLayoutKeepsAndReplacesEntries(t *testing.T) {
	dir := t.TempDir()
	write := func(artifacts ...Artifact) {
		t.Helper()
		if _, err := (Layout{Path: dir}).Publish(t.Context(), artifacts); err != nil {
			t.Fatal(err)
		}
	}
	image := func(seed uint64, refs ...string) Artifact {
		a := Artifact{Name: "a", Image: registrytest.ImageOf(t, "amd64", registrytest.NewLayer(t, seed, 100))}
		for _, ref := range refs {
			a.Tags = append(a.Tags, tagOf(t, ref))
		}
		return a
	}
	write(image(1, "r.example/a:latest", "r.example/a:1"))
	write(image(2, "r.example/a:latest"))
	write(image(3))
	write(image(3))
	var names []string
	for _, n := range refNames(t, dir) {
		names = append(names, strings.Fields(n)[0])
	}
	if len(names) != 3 || names[0] != "1" || names[1] != "latest" {
		t.Errorf("index.json names %q", names)
	}
	write(image(4, "r.example/a:x"), image(5, "r.example/b:x"))
	got := refNames(t, dir)
	if !strings.HasPrefix(got[3], "r.example/a:x r.example/a:x ") || !strings.HasPrefix(got[4], "r.example/b:x r.example/b:x ") {
		t.Errorf("two images with one tag are named %q", got[3:])
	}
}

func TestLayoutReusesBlobs(t *testing.T) {
	dir := t.TempDir()
	first := registrytest.NewLayer(t, 1, 1000)
	for _, layer := range []*registrytest.Layer{first, registrytest.NewLayer(t, 1, 1000).Known(t)} {
		if _, err := (Layout{Path: dir}).Publish(t.Context(), []Artifact{{Name: "a", Image: registrytest.ImageOf(t, "amd64", layer)}}); err != nil {
			t.Fatal(err)
		}
		if want := int64(1); layer == first != (layer.Opens.Load() == want) {
			t.Errorf("opened %d times", layer.Opens.Load())
		}
	}
	blob := filepath.Join(dir, "blobs", "sha256", first.Measured.Hex)
	if err := os.Truncate(blob, 10); err != nil {
		t.Fatal(err)
	}
	torn := registrytest.NewLayer(t, 1, 1000).Known(t)
	if _, err := (Layout{Path: dir}).Publish(t.Context(), []Artifact{{Name: "a", Image: registrytest.ImageOf(t, "amd64", torn)}}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(blob); err != nil || info.Size() != first.Bytes {
		t.Errorf("a torn blob was not replaced: %v, %v", info, err)
	}
}

func TestLayoutRefusesALyingLayer(t *testing.T) {
	layer := registrytest.NewLayer(t, 1, 1000).Known(t)
	truth := *layer.Measured
	layer.Open = registrytest.NewLayer(t, 2, 1000).Open
	dir := t.TempDir()
	_, err := Layout{Path: dir}.Publish(t.Context(), []Artifact{{Name: "a", Image: registrytest.ImageOf(t, "amd64", honestless{layer, truth})}})
	if err == nil || !strings.Contains(err.Error(), "its bytes are sha256:") {
		t.Errorf("error is %v", err)
	}
	if blobs, _ := os.ReadDir(filepath.Join(dir, "blobs", "sha256")); len(blobs) != 0 {
		t.Errorf("%d blobs were left", len(blobs))
	}
}

// honestless says that it is what it is not, whatever is read of it.
type honestless struct {
	*registrytest.Layer
	digest v1.Hash
}

func (h honestless) Digest() (v1.Hash, error) { return h.digest, nil }

func TestLayoutTar(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sub", "image.tar")
	var tars [][]byte
	for range 2 {
		artifact, _ := twoPlatforms(t, "r.example/box:latest")
		digests, err := Layout{Path: path, Tar: true}.Publish(t.Context(), []Artifact{artifact})
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		tars = append(tars, content)
		checkLayoutHolds(t, untar(t, content), digests[0])
		var stdout bytes.Buffer
		artifact, _ = twoPlatforms(t, "r.example/box:latest")
		if _, err := (Layout{Path: "-", Tar: true, Stdout: &stdout}).Publish(t.Context(), []Artifact{artifact}); err != nil {
			t.Fatal(err)
		}
		tars = append(tars, stdout.Bytes())
	}
	for _, other := range tars[1:] {
		if !bytes.Equal(tars[0], other) {
			t.Error("equal images make different tars")
		}
	}
	if files := allFiles(t, dir); len(files) != 1 {
		t.Errorf("files are %q", files)
	}
}

// untar unpacks a tar, and checks its headers.
func untar(t *testing.T, content []byte) string {
	t.Helper()
	dir := t.TempDir()
	var names []string
	tr := tar.NewReader(bytes.NewReader(content))
	for {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
		if header.ModTime.Unix() != 1 || header.Uid != 0 || header.Gid != 0 || header.Uname != "" {
			t.Errorf("%s: %+v", header.Name, header)
		}
		path := filepath.Join(dir, header.Name)
		if header.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o777)
		} else {
			var body []byte
			body, err = io.ReadAll(tr)
			err = errors.Join(err, os.WriteFile(path, body, 0o666))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("names are not sorted: %q", names)
	}
	return dir
}

func TestLayoutLeavesNothingBehind(t *testing.T) {
	gone := errors.New("store path is gone")
	for fate, want := range map[string]error{"failure": gone, "cancel": context.Canceled} {
		dir := t.TempDir()
		old := []byte("what was there before")
		for _, file := range []string{"l.tar", "d.tar"} {
			if err := os.WriteFile(filepath.Join(dir, file), old, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		for _, destination := range []func(func(int64)) Destination{
			func(sent func(int64)) Destination {
				return Layout{Path: filepath.Join(dir, "l.tar"), Tar: true, Sent: sent}
			},
			func(sent func(int64)) Destination { return Archive{Path: filepath.Join(dir, "d.tar"), Sent: sent} },
		} {
			ctx, cancel := context.WithCancel(t.Context())
			layer := registrytest.NewLayer(t, 1, 500_000)
			sent := func(int64) {}
			if want == gone {
				whole := layer.Open
				layer.Open = func() io.Reader { return io.MultiReader(io.LimitReader(whole(), 400_000), failing{gone}) }
			} else {
				sent = func(int64) { cancel() }
			}
			artifact := Artifact{Name: "a", Image: registrytest.ImageOf(t, "amd64", registrytest.NewLayer(t, 2, 100), layer), Tags: []name.Tag{tagOf(t, "a:x")}}
			if _, err := destination(sent).Publish(ctx, []Artifact{artifact}); !errors.Is(err, want) {
				t.Errorf("%s: error is %v", fate, err)
			}
			cancel()
		}
		for _, path := range allFiles(t, dir) {
			if content, err := os.ReadFile(path); err != nil || !bytes.Equal(content, old) {
				t.Errorf("%s: %s was left or changed: %v", fate, path, err)
			}
		}
	}
}

func TestDestinationsThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	full := filepath.Join(dir, "full")
	future := filepath.Join(dir, "future")
	for path, content := range map[string]string{
		file: "x", filepath.Join(full, "holiday.jpg"): "x", filepath.Join(future, "oci-layout"): `{"imageLayoutVersion":"9"}`,
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, []byte(content), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		destination Destination
		says        string
	}{
		{Layout{Path: file}, file + " is a file"},
		{Layout{Path: filepath.Join(file, "below")}, "not a directory"},
		{Layout{Path: full}, "not empty, and not an OCI layout"},
		{Layout{Path: future}, `unknown version "9"`},
		{Layout{Path: filepath.Join(file, "a.tar"), Tar: true}, file + " is a file"},
		{Layout{Path: full, Tar: true}, "it is a directory"},
		{Archive{Path: filepath.Join(file, "a.tar")}, file + " is a file"},
		{Archive{Path: full}, "it is a directory"},
		{Layout{Path: pipe, Tar: true}, "it is a named pipe"},
		{Archive{Path: pipe}, "it is a named pipe"},
	} {
		layer := registrytest.NewLayer(t, 1, 100)
		artifact := Artifact{Name: "a", Image: registrytest.ImageOf(t, "amd64", layer)}
		_, published := test.destination.Publish(t.Context(), []Artifact{artifact})
		for _, err := range []error{published, test.destination.Check(t.Context(), []Artifact{{Name: "a"}})} {
			var failed *DestinationError
			if !errors.As(err, &failed) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%+v: error %v does not say %q", test.destination, err, test.says)
			}
		}
		if layer.Opens.Load() != 0 {
			t.Errorf("%+v: a layer was read first", test.destination)
		}
	}
}

func TestCheckLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []Destination{Layout{Path: filepath.Join(dir, "a", "b")}, Archive{Path: filepath.Join(dir, "c", "d.tar")}} {
		if err := d.Check(t.Context(), nil); err != nil {
			t.Error(err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
}
