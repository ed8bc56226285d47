package publish

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/stream"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// lazyLayer is a layer whose digest is known only after one stream of it was drained and closed, unless it was made known.
type lazyLayer struct {
	open  func() io.Reader // a fresh stream of the same bytes
	opens atomic.Int64
	live  atomic.Int64 // streams that are open

	mu     sync.Mutex
	digest *v1.Hash
	diffID v1.Hash
	size   int64
}

// newLayer makes an unread layer: a gzipped tar with one file, whose contents follow from seed and do not compress.
func newLayer(t *testing.T, seed uint64, size int) *lazyLayer {
	t.Helper()
	content := make([]byte, size)
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = source.Read(content)
	var plain bytes.Buffer
	tw := tar.NewWriter(&plain)
	err := errors.Join(
		tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "file", Mode: 0o444, Size: int64(size)}),
		second(tw.Write(content)), tw.Close())
	if err != nil {
		t.Fatal(err)
	}
	var blob bytes.Buffer
	zw, _ := gzip.NewWriterLevel(&blob, gzip.NoCompression)
	if err := errors.Join(second(zw.Write(plain.Bytes())), zw.Close()); err != nil {
		t.Fatal(err)
	}
	return &lazyLayer{diffID: hashOf(plain.Bytes()), open: func() io.Reader { return bytes.NewReader(blob.Bytes()) }}
}

func second(_ int, err error) error { return err }

func hashOf(b []byte) v1.Hash {
	sum := sha256.Sum256(b)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

// known makes the layer know its digest without having been read.
func (l *lazyLayer) known(t *testing.T) *lazyLayer {
	t.Helper()
	blob, err := io.ReadAll(l.open())
	if err != nil {
		t.Fatal(err)
	}
	digest := hashOf(blob)
	l.digest, l.size = &digest, int64(len(blob))
	return l
}

func (l *lazyLayer) Digest() (v1.Hash, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.digest == nil {
		return v1.Hash{}, stream.ErrNotComputed
	}
	return *l.digest, nil
}

func (l *lazyLayer) DiffID() (v1.Hash, error) {
	if _, err := l.Digest(); err != nil {
		return v1.Hash{}, err
	}
	return l.diffID, nil
}

func (l *lazyLayer) Size() (int64, error) {
	if _, err := l.Digest(); err != nil {
		return 0, err
	}
	return l.size, nil
}

func (l *lazyLayer) MediaType() (types.MediaType, error) { return types.DockerLayer, nil }

func (l *lazyLayer) Uncompressed() (io.ReadCloser, error) {
	zr, err := gzip.NewReader(l.open())
	return zr, err
}

func (l *lazyLayer) Compressed() (io.ReadCloser, error) {
	l.opens.Add(1)
	l.live.Add(1)
	return &lazyStream{layer: l, r: l.open()}, nil
}

type lazyStream struct {
	layer  *lazyLayer
	r      io.Reader
	n      int64
	hash   bytesHash
	ended  bool
	closed bool
}

// bytesHash is a SHA-256 that is made when it is first written to.
type bytesHash struct {
	inner interface {
		io.Writer
		Sum([]byte) []byte
	}
}

func (s *lazyStream) Read(p []byte) (int, error) {
	if s.closed {
		panic("read after close")
	}
	if s.hash.inner == nil {
		s.hash.inner = sha256.New()
	}
	n, err := s.r.Read(p)
	_, _ = s.hash.inner.Write(p[:n])
	s.n += int64(n)
	s.ended = s.ended || errors.Is(err, io.EOF)
	return n, err
}

func (s *lazyStream) Close() error {
	if s.closed {
		panic("closed twice")
	}
	s.closed = true
	s.layer.live.Add(-1)
	if !s.ended {
		return nil
	}
	digest := v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(s.hash.inner.Sum(nil))}
	s.layer.mu.Lock()
	defer s.layer.mu.Unlock()
	s.layer.digest, s.layer.size = &digest, s.n
	return nil
}

// imageOf is a docker image over the layers.
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
		platform := &v1.Platform{OS: "linux", Architecture: []string{"amd64", "arm64"}[i%2]}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform}})
	}
	return index
}
