package blobstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/stream"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/nixery-action/internal/publish"
)

// lazyLayer knows its digest only when a stream of it was read to its end and closed, unless it was made known.
type lazyLayer struct {
	content string
	broken  error // in place of the end
	opens   atomic.Int64
	known   atomic.Bool
}

func (l *lazyLayer) Digest() (v1.Hash, error) {
	if !l.known.Load() {
		return v1.Hash{}, stream.ErrNotComputed
	}
	return hashOf(l.content), nil
}

func (l *lazyLayer) DiffID() (v1.Hash, error)            { return l.Digest() }
func (l *lazyLayer) MediaType() (types.MediaType, error) { return types.DockerLayer, nil }
func (l *lazyLayer) Uncompressed() (io.ReadCloser, error) {
	return nil, errors.New("no caller reads the tar")
}

func (l *lazyLayer) Size() (int64, error) {
	_, err := l.Digest()
	return int64(len(l.content)), err
}

func (l *lazyLayer) Compressed() (io.ReadCloser, error) {
	l.opens.Add(1)
	r := io.Reader(strings.NewReader(l.content))
	if l.broken != nil {
		r = io.MultiReader(r, errReader{l.broken})
	}
	return &lazyStream{Reader: r, layer: l}, nil
}

type lazyStream struct {
	io.Reader
	layer *lazyLayer
	ended bool
}

func (s *lazyStream) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	s.ended = s.ended || errors.Is(err, io.EOF)
	return n, err
}

func (s *lazyStream) Close() error {
	if s.ended {
		s.layer.known.Store(true)
	}
	return nil
}

func imageOf(t *testing.T, arch string, layers ...v1.Layer) v1.Image {
	t.Helper()
	base, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: arch, RootFS: v1.RootFS{Type: "layers"}})
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(base, layers...)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func indexOf(images ...v1.Image) v1.ImageIndex {
	index := mutate.IndexMediaType(empty.Index, types.DockerManifestList)
	for i, image := range images {
		platform := &v1.Platform{OS: "linux", Architecture: []string{"amd64", "arm64"}[i]}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform}})
	}
	return index
}

func TestDestinationStoresEverything(t *testing.T) {
	everywhere(t, func(t *testing.T, s site) {
		d := s.open()
		shared, amd, arm := &lazyLayer{content: "shared"}, &lazyLayer{content: "amd64"}, &lazyLayer{content: "arm64"}
		artifact := publish.Artifact{Name: "box", Index: indexOf(imageOf(t, "amd64", shared, amd), imageOf(t, "arm64", shared, arm))}
		var sent atomic.Int64
		reports := publishTo(t, d, artifact, &sent)
		if sent.Load() != int64(len("sharedamd64arm64")) || reports[publish.Uploaded] != 3 || reports[publish.Existing] != 0 {
			t.Errorf("sent %d bytes, reports %v", sent.Load(), reports)
		}
		index, err := artifact.Index.Digest()
		if err != nil {
			t.Fatal(err)
		}
		if n := pullAll(t, s.open(), index); n != 9 {
			t.Errorf("%d blobs were pulled, want 9", n)
		}
		again := publishTo(t, s.open(), artifact, &sent)
		if again[publish.Existing] != 3 || sent.Load() != int64(len("sharedamd64arm64")) {
			t.Errorf("a second time: sent %d bytes, reports %v", sent.Load(), again)
		}
		for _, l := range []*lazyLayer{shared, amd, arm} {
			if l.opens.Load() != 1 {
				t.Errorf("%s was read %d times", l.content, l.opens.Load())
			}
		}
	})
}

// A layer's key is another one when it has been read, which may be before the second image's turn.
func TestSharedLayerIsToldOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, s site) {
		shared := &lazyLayer{content: "shared"}
		told := 0
		dest := s.open().Destination(DestinationOptions{Jobs: 1, Report: func(publish.Upload) { told++ }})
		artifact := publish.Artifact{Name: "box", Index: indexOf(imageOf(t, "amd64", shared, &lazyLayer{content: "a"}), imageOf(t, "arm64", shared, &lazyLayer{content: "b"}))}
		if _, err := dest.Publish(t.Context(), []publish.Artifact{artifact}); err != nil {
			t.Fatal(err)
		}
		if told != 3 {
			t.Errorf("told of %d layers, want 3", told)
		}
	})
}

// publishTo counts reports by how a layer came there.
func publishTo(t *testing.T, d *Store, a publish.Artifact, sent *atomic.Int64) map[publish.How]int {
	t.Helper()
	repository, err := name.NewRepository("localhost/box")
	if err != nil {
		t.Fatal(err)
	}
	uploads := make(chan publish.Upload, 100)
	dest := d.Destination(DestinationOptions{Repository: repository, Report: func(u publish.Upload) { uploads <- u }, Sent: func(n int64) { sent.Add(n) }})
	if err := dest.Check(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	digests, err := dest.Publish(t.Context(), []publish.Artifact{a})
	if err != nil {
		t.Fatal(err)
	}
	var own interface{ Digest() (v1.Hash, error) } = a.Image
	if a.Index != nil {
		own = a.Index
	}
	if want, err := own.Digest(); err != nil || len(digests) != 1 || digests[0] != want {
		t.Errorf("published %v, want %s, %v", digests, want, err)
	}
	close(uploads)
	hows := map[publish.How]int{}
	for u := range uploads {
		hows[u.How]++
		if u.Repository != repository || u.Size == 0 {
			t.Errorf("reported %+v", u)
		}
	}
	return hows
}

// pullAll reads a manifest and all that it names, and returns how many blobs that was.
func pullAll(t *testing.T, d *Store, digest v1.Hash) int {
	t.Helper()
	raw, err := read(t, d, digest, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		MediaType         string
		Config            *v1.Descriptor
		Layers, Manifests []v1.Descriptor
	}
	if err := json.Unmarshal([]byte(raw), &m); err != nil {
		t.Fatal(err)
	}
	if stored, err := d.Stat(t.Context(), digest); err != nil || stored.MediaType != m.MediaType {
		t.Errorf("%s is said to be %q, %v; it says %q", digest, stored.MediaType, err, m.MediaType)
	}
	n := 1
	for _, child := range m.Manifests {
		n += pullAll(t, d, child.Digest)
	}
	if m.Config != nil {
		m.Layers = append(m.Layers, *m.Config)
	}
	for _, blob := range m.Layers {
		content, err := read(t, d, blob.Digest, 0, -1)
		if err != nil || int64(len(content)) != blob.Size {
			t.Errorf("%s: %d bytes, %v", blob.Digest, len(content), err)
		}
		n++
	}
	return n
}

// What the store has is not made, even if only a record says what it is; what was lost from a bucket is.
func TestKnownLayers(t *testing.T) {
	everywhere(t, func(t *testing.T, s site) {
		d := s.open()
		there, lost := &lazyLayer{content: "there"}, &lazyLayer{content: "lost"}
		there.known.Store(true)
		lost.known.Store(true)
		put(t, d, string(types.DockerLayer), "there")
		var sent atomic.Int64
		hows := publishTo(t, d, publish.Artifact{Name: "box", Image: imageOf(t, "amd64", there, lost)}, &sent)
		if hows[publish.Existing] != 1 || hows[publish.Uploaded] != 1 || there.opens.Load() != 0 || lost.opens.Load() != 1 {
			t.Errorf("reports %v, opened %d and %d times", hows, there.opens.Load(), lost.opens.Load())
		}
	})
}

// A manifest is there only if all that it names is.
func TestNoManifestBeforeItsLayers(t *testing.T) {
	broken := errors.New("the store changed")
	everywhere(t, func(t *testing.T, s site) {
		d := s.open()
		bad := &lazyLayer{content: "half of a layer", broken: broken}
		artifact := publish.Artifact{Name: "box", Image: imageOf(t, "amd64", &lazyLayer{content: "good"}, bad)}
		_, err := d.Destination(DestinationOptions{}).Publish(t.Context(), []publish.Artifact{artifact})
		if !errors.Is(err, broken) {
			t.Errorf("error is %v", err)
		}
		for _, key := range keysBelow(t, d, "blobs/") {
			if content, err := d.bucket.ReadAll(t.Context(), key); err != nil || bytes.ContainsAny(content[:1], "{h") {
				t.Errorf("%s is there: %.40s, %v", key, content, err)
			}
		}
		noTempFiles(t, d)
	})
}

func TestPublishIsCancelled(t *testing.T) {
	cause := errors.New("no waiter")
	ctx, cancel := context.WithCancelCause(t.Context())
	layer := &lazyLayer{content: "x"}
	d := sites["memory"](t).open()
	dest := d.Destination(DestinationOptions{Sent: func(int64) { cancel(cause) }})
	_, err := dest.Publish(ctx, []publish.Artifact{{Name: "box", Image: imageOf(t, "amd64", layer)}})
	if !errors.Is(err, cause) {
		t.Errorf("error is %v", err)
	}
}

func TestPublishOfNothing(t *testing.T) {
	dest := sites["memory"](t).open().Destination(DestinationOptions{})
	both := publish.Artifact{Name: "both", Image: imageOf(t, "amd64"), Index: indexOf()}
	for _, a := range []publish.Artifact{{Name: "neither"}, both} {
		if _, err := dest.Publish(t.Context(), []publish.Artifact{a}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", a.Name)) {
			t.Errorf("error is %v", err)
		}
	}
}
