// Package registrytest holds a registry that records requests and fails on demand, and layers that are measured as they are read.
package registrytest

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

// Layer is a layer whose digest is known only after one stream of it was drained and closed, unless it was made known.
type Layer struct {
	Open  func() io.Reader // a fresh stream of the same bytes
	Opens atomic.Int64
	Live  atomic.Int64 // streams that are open

	mu       sync.Mutex
	Measured *v1.Hash
	Tar      v1.Hash
	Bytes    int64
}

// NewLayer makes an unread layer: a gzipped tar with one file, whose contents follow from seed and do not compress.
func NewLayer(t *testing.T, seed uint64, size int) *Layer {
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
	return &Layer{Tar: HashOf(plain.Bytes()), Open: func() io.Reader { return bytes.NewReader(blob.Bytes()) }}
}

func second(_ int, err error) error { return err }

func HashOf(b []byte) v1.Hash {
	sum := sha256.Sum256(b)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

// Known makes the layer know its digest without having been read.
func (l *Layer) Known(t *testing.T) *Layer {
	t.Helper()
	blob, err := io.ReadAll(l.Open())
	if err != nil {
		t.Fatal(err)
	}
	digest := HashOf(blob)
	l.Measured, l.Bytes = &digest, int64(len(blob))
	return l
}

func (l *Layer) Digest() (v1.Hash, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Measured == nil {
		return v1.Hash{}, stream.ErrNotComputed
	}
	return *l.Measured, nil
}

func (l *Layer) DiffID() (v1.Hash, error) {
	if _, err := l.Digest(); err != nil {
		return v1.Hash{}, err
	}
	return l.Tar, nil
}

func (l *Layer) Size() (int64, error) {
	if _, err := l.Digest(); err != nil {
		return 0, err
	}
	return l.Bytes, nil
}

func (l *Layer) MediaType() (types.MediaType, error) { return types.DockerLayer, nil }

func (l *Layer) Uncompressed() (io.ReadCloser, error) {
	zr, err := gzip.NewReader(l.Open())
	return zr, err
}

func (l *Layer) Compressed() (io.ReadCloser, error) {
	l.Opens.Add(1)
	l.Live.Add(1)
	return &lazyStream{layer: l, r: l.Open()}, nil
}

type lazyStream struct {
	layer  *Layer
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
	s.layer.Live.Add(-1)
	if !s.ended {
		return nil
	}
	digest := v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(s.hash.inner.Sum(nil))}
	s.layer.mu.Lock()
	defer s.layer.mu.Unlock()
	s.layer.Measured, s.layer.Bytes = &digest, s.n
	return nil
}

// ImageOf is a docker image over the layers.
func ImageOf(t *testing.T, arch string, layers ...v1.Layer) v1.Image {
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

func IndexOf(images ...v1.Image) v1.ImageIndex {
	index := mutate.IndexMediaType(empty.Index, types.DockerManifestList)
	for i, image := range images {
		platform := &v1.Platform{OS: "linux", Architecture: []string{"amd64", "arm64"}[i%2]}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform}})
	}
	return index
}
