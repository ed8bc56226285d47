package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Blob opens a blob of size bytes that some place has, or returns [ErrNotFound]. The caller closes it. It is verified while it is
// read: the last Read returns a [*StoreError] in place of io.EOF if the bytes are not the blob's, and that entry is not offered
// again.
func (c *Cache) Blob(ctx context.Context, digest v1.Hash, size int64) (io.ReadCloser, error) {
	for _, p := range c.from {
		content, err := p.blob(ctx, digest, size)
		if err == nil {
			return content, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		p.read(ctx, err)
	}
	return nil, ErrNotFound
}

func (p *place) blob(ctx context.Context, digest v1.Hash, size int64) (io.ReadCloser, error) {
	if !p.mayRead() {
		return nil, ErrNotFound
	}
	entry, err := p.Store.Newest(ctx, BlobScope(digest))
	if err != nil {
		return nil, err
	}
	if p.isRejected(entry.Name) {
		return nil, ErrNotFound
	}
	if entry.Size >= 0 && entry.Size != size {
		err := &StoreError{Store: p.Store.String(), Op: Reading, Kind: Damaged, Err: SizeError(size)}
		return nil, p.reject(ctx, entry.Name, err)
	}
	content, err := entry.Open(ctx)
	if err != nil {
		return nil, err
	}
	return newVerified(content, digest, size, func(err error) error {
		return p.reject(ctx, entry.Name, Failed(ctx, p.Store.String(), Reading, Damaged, err))
	}), nil
}

func (p *place) isRejected(name Name) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	serial, bad := p.rejected[name.Scope]
	return bad && serial >= name.Serial
}

// reject sees to it that a damaged entry is not read again, and that another may take its place.
func (p *place) reject(ctx context.Context, name Name, err error) error {
	p.read(ctx, err)
	var fault *StoreError
	if errors.As(err, &fault) && fault.Kind == Damaged {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.rejected[name.Scope] = max(p.rejected[name.Scope], name.Serial)
	}
	return err
}

// SaveBlob keeps a blob in every place with mode [Max] that does not have it. open gives its bytes, and may be called several
// times.
func (c *Cache) SaveBlob(ctx context.Context, digest v1.Hash, size int64, open func() (io.ReadCloser, error)) {
	var wait sync.WaitGroup
	for _, p := range c.to {
		if p.Mode == Max {
			wait.Go(func() { p.write(ctx, p.saveBlob(ctx, c.rejectedSerial(p, digest), digest, size, open)) })
		}
	}
	wait.Wait()
}

// rejectedSerial is the serial up to which the entries of a blob are known to be damaged, or 0.
func (c *Cache) rejectedSerial(p *place, digest v1.Hash) uint32 {
	var bad uint32
	for _, other := range append([]*place{p}, c.from...) {
		if other.storeStatus == p.storeStatus {
			other.mu.Lock()
			bad = max(bad, other.rejected[BlobScope(digest)])
			other.mu.Unlock()
		}
	}
	return bad
}

// saveBlob tries a few names: one that exists and yet is not found was reserved by a job that did not finish.
func (p *place) saveBlob(ctx context.Context, bad uint32, digest v1.Hash, size int64, open func() (io.ReadCloser, error)) error {
	verified := func() (io.ReadCloser, error) {
		content, err := open()
		if err != nil {
			return nil, err
		}
		return newVerified(content, digest, size, func(err error) error { return err }), nil
	}
	const mostNames = 3
	for n := uint32(1); n <= mostNames && p.mayWrite(); n++ {
		serial, err := further(p.Store, BlobScope(digest), bad, n)
		if err != nil {
			return err
		}
		entry, err := p.Store.Newest(ctx, BlobScope(digest))
		if err == nil && entry.Name.Serial > bad {
			return nil
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		err = p.Store.Save(ctx, Name{BlobScope(digest), serial}, size, verified)
		if !errors.Is(err, ErrExists) {
			return err
		}
	}
	return nil
}

// verified is a stream that ends well only if it was what was promised.
type verified struct {
	io.ReadCloser
	want  v1.Hash
	left  int64
	hash  hash.Hash
	fault func(error) error
	err   error // of the end
}

// newVerified checks content while it is read; fault makes the error of the last Read.
func newVerified(content io.ReadCloser, want v1.Hash, size int64, fault func(error) error) *verified {
	return &verified{ReadCloser: content, want: want, left: size, hash: sha256.New(), fault: fault}
}

func (v *verified) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	n, err := v.ReadCloser.Read(p)
	v.left -= int64(n)
	v.hash.Write(p[:n])
	if v.left < 0 {
		err = errors.New("it is longer than it should be")
	} else if errors.Is(err, io.EOF) {
		err = v.verdict()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = v.fault(err)
	}
	v.err = err
	return n, err
}

func (v *verified) verdict() error {
	if got := hex.EncodeToString(v.hash.Sum(nil)); got != v.want.Hex {
		return fmt.Errorf("its digest is sha256:%s, not %s", got, v.want)
	}
	return io.EOF
}
