package layers

import (
	"bytes"
	"fmt"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Compression is the compressor of a layer and its level. It is part of every key.
type Compression struct {
	Algorithm Algorithm
	Level     int // the algorithm's own: gzip 1 to 9, zstd 1 to 22
}

// Algorithm names a compressor.
type Algorithm string

// The algorithms that image clients read. Zstd is for OCI images only.
const (
	Gzip Algorithm = "gzip" // members, RFC 1952 section 2.2
	Zstd Algorithm = "zstd" // frames, RFC 8878 section 3.1
)

// DefaultCompression is gzip at the level that every peer uses.
var DefaultCompression = Compression{Algorithm: Gzip, Level: 6}

// layerType returns the media type of a layer, or an error if the format does not
// have the compression.
func (c Compression) layerType(oci bool) (types.MediaType, error) {
	switch {
	case c.Algorithm == Gzip && oci:
		return types.OCILayer, nil
	case c.Algorithm == Gzip:
		return types.DockerLayer, nil
	case c.Algorithm == Zstd && oci:
		return types.OCILayerZStd, nil
	case c.Algorithm == Zstd:
		return "", fmt.Errorf("schema 2 images cannot have zstd layers: use the OCI format, or gzip")
	}
	return "", fmt.Errorf("unknown compression %q: want gzip or zstd", c.Algorithm)
}

// compressor appends one member or frame that holds src to dst. It is used by
// one goroutine at a time, and its output depends on src alone.
type compressor func(dst *bytes.Buffer, src []byte) error

func (c Compression) newCompressor() (compressor, error) {
	if c.Algorithm == Zstd {
		return newZstd(c.Level)
	}
	return newGzip(c.Level)
}

func newGzip(level int) (compressor, error) {
	zw, err := gzip.NewWriterLevel(nil, level)
	if err != nil {
		return nil, fmt.Errorf("gzip level %d: %w", level, err)
	}
	return func(dst *bytes.Buffer, src []byte) error {
		zw.Reset(dst)
		zw.OS = 0 // the one header field that Reset does not leave zero
		if _, err := zw.Write(src); err != nil {
			return err
		}
		return zw.Close()
	}, nil
}

func newZstd(level int) (compressor, error) {
	zw, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)),
		zstd.WithEncoderConcurrency(1), // the packer has all cores at work already
		zstd.WithEncoderCRC(true))
	if err != nil {
		return nil, fmt.Errorf("zstd level %d: %w", level, err)
	}
	return func(dst *bytes.Buffer, src []byte) error {
		dst.Grow(len(src)/2 + 64)
		_, err := dst.Write(zw.EncodeAll(src, dst.AvailableBuffer()))
		return err
	}, nil
}
