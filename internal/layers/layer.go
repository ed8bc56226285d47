package layers

import (
	"fmt"
	"io"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/stream"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/nixery-action/internal/nix"
)

// Record describes the bytes of a layer that was packed once; caches store it under
// the layer's key.
type Record struct {
	DiffID v1.Hash // of the tar
	Digest v1.Hash // of the compressed tar, the blob
	Size   int64   // bytes of the blob
}

// MismatchError says that a layer's bytes are not what its record says: the
// record lies, or the store was changed.
type MismatchError struct {
	Key       Key
	Want, Got Record
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("layer %.12s: its bytes are %s (tar %s), but its record says %s (tar %s)",
		e.Key, e.Got.Digest, e.Got.DiffID, e.Want.Digest, e.Want.DiffID)
}

// Layer is a [v1.Layer] in one of three states.
//
//	known     it came with a record; its bytes are packed only if they are read,
//	          and must be what the record says
//	unread    Digest, DiffID and Size return [stream.ErrNotComputed]
//	measured  a reader reached the end of Compressed, or Measure was called
//
//	Packer.Layer(g, record) ▶ known
//	Packer.Layer(g, nil)    ▶ unread ──end of Compressed, or Measure──▶ measured
//
// Each call of Compressed reads the store again, so an upload that failed
// half-way can be retried. A Layer is safe for concurrent use, and several images
// may share one.
type Layer struct {
	packer *Packer
	key    Key
	group  Group // empty for a root layer
	parts  func() ([]part, error)

	recalled bool // the record came from an earlier run

	mu     sync.Mutex
	record *Record
	made   bool
}

var _ v1.Layer = (*Layer)(nil)

// Key identifies the layer's bytes before they are packed.
func (l *Layer) Key() Key { return l.key }

// Paths returns the store paths in the layer, sorted; none in a root layer.
func (l *Layer) Paths() []nix.StorePath { return l.group.paths() }

// Group returns what Nix's database has on those store paths, in the same order.
func (l *Layer) Group() []nix.PathInfo { return l.group }

// Made reports whether the blob was packed from the store, in whole or in part. It
// is false if the blob was never read, or came from [Packer.Blobs].
func (l *Layer) Made() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.made
}

// Record returns what is known of the bytes, or [stream.ErrNotComputed].
func (l *Layer) Record() (Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.record == nil {
		return Record{}, stream.ErrNotComputed
	}
	return *l.record, nil
}

// Digest implements [v1.Layer].
func (l *Layer) Digest() (v1.Hash, error) {
	r, err := l.Record()
	return r.Digest, err
}

// DiffID implements [v1.Layer].
func (l *Layer) DiffID() (v1.Hash, error) {
	r, err := l.Record()
	return r.DiffID, err
}

// Size implements [v1.Layer].
func (l *Layer) Size() (int64, error) {
	r, err := l.Record()
	return r.Size, err
}

// MediaType implements [v1.Layer].
func (l *Layer) MediaType() (types.MediaType, error) { return l.packer.mediaType, nil }

// Compressed returns the blob and packs it while it is read, from one read of the
// store. The caller closes it. At the end the layer is measured; if the result
// differs from the record, the last Read returns a [*MismatchError] in place of
// io.EOF.
func (l *Layer) Compressed() (io.ReadCloser, error) {
	if l.recalled && l.packer.Blobs != nil {
		if blob, err := l.packer.Blobs(*l.record); err == nil {
			return blob, nil
		}
	}
	parts, err := l.parts()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.made = true
	l.mu.Unlock()
	return l.packer.newReader(parts, l.settle), nil
}

// Uncompressed returns the tar, written while it is read. The caller closes it.
func (l *Layer) Uncompressed() (io.ReadCloser, error) {
	parts, err := l.parts()
	if err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(writeTar(w, parts, func() error { return nil })) }()
	return r, nil
}

// Measure packs the layer and discards the bytes, so that Record, Digest and Size
// are known. A known layer is not read.
func (l *Layer) Measure() error {
	if _, err := l.Record(); err == nil {
		return nil
	}
	blob, err := l.Compressed()
	if err != nil {
		return err
	}
	defer blob.Close()
	_, err = io.Copy(io.Discard, blob)
	return err
}

// settle stores what a reader has measured, or compares it with the record.
func (l *Layer) settle(got Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.record == nil {
		l.record = &got
	}
	if *l.record != got {
		return &MismatchError{Key: l.key, Want: *l.record, Got: got}
	}
	return nil
}
