package layers

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// errClosed is what the producer and Read return after Close.
var errClosed = errors.New("layer closed before its end")

// reader reads a layer's files once and returns the blob: a producer writes tar
// into chunks, the packer's cores compress them side by side, and Read returns
// them in order. A bounded number of chunks waits, so memory is the same for any
// layer.
//
//	produce: parts ▶ tar ▶ chunk 1, chunk 2, chunk 3 … ──queue (in order)──▶ Read ▶ blob
//	                            │        │        │                           ▲
//	                            └─ pack ─┴─ pack ─┴─ pack (one a core) ──done─┘
type reader struct {
	packer *Packer
	finish func(Record) error // called once, when the last byte is read

	queue chan *chunk // in order of the tar; closed by the producer
	quit  chan struct{}
	close func()

	filling *chunk    // the producer's
	diff    hash.Hash // the producer's until queue is closed
	failed  error     // the producer's until queue is closed

	reading *chunk // Read's
	rest    []byte // of reading.packed
	blob    hash.Hash
	size    int64
	end     error // what Read returns from now on
}

func (p *Packer) newReader(parts []part, finish func(Record) error) *reader {
	r := &reader{
		packer: p,
		finish: finish,
		queue:  make(chan *chunk, cap(p.compressors)+1),
		quit:   make(chan struct{}),
		diff:   sha256.New(),
		blob:   sha256.New(),
	}
	r.close = sync.OnceFunc(func() { close(r.quit) })
	go r.produce(parts)
	return r
}

func (r *reader) produce(parts []part) {
	defer close(r.queue)
	r.failed = writeTar(r, parts, r.send)
}

// Write takes tar bytes from the producer. It cuts chunks only where they are
// full, so their bounds depend on the tar alone.
func (r *reader) Write(b []byte) (int, error) {
	r.diff.Write(b)
	for n := len(b); ; {
		if r.filling == nil {
			r.filling = r.packer.newChunk()
		}
		c := r.filling
		took := min(len(b), ChunkSize-len(c.raw))
		c.raw = append(c.raw, b[:took]...)
		b = b[took:]
		if len(c.raw) == ChunkSize {
			if err := r.send(); err != nil {
				return 0, err
			}
		}
		if len(b) == 0 {
			return n, nil
		}
	}
}

// send passes on the chunk that is being filled. After Close it returns errClosed.
func (r *reader) send() error {
	c := r.filling
	if c == nil || len(c.raw) == 0 {
		return nil
	}
	r.filling = nil
	select {
	case r.queue <- c:
		go r.packer.pack(c)
		return nil
	case <-r.quit:
		return errClosed
	}
}

// Read returns the compressed bytes, and io.EOF only when all of them were read
// and finish returned nil; until then they are not verified.
func (r *reader) Read(b []byte) (int, error) {
	for len(r.rest) == 0 && r.end == nil {
		r.end = r.next()
	}
	if len(r.rest) == 0 {
		return 0, r.end
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// next sets rest to the bytes of the next chunk, or returns why there is none:
// io.EOF at the end.
func (r *reader) next() error {
	if r.reading != nil {
		r.packer.chunks.Put(r.reading)
		r.reading = nil
	}
	select {
	case <-r.quit:
		return errClosed // even if more is ready
	default:
	}
	var c *chunk
	select {
	case <-r.quit:
		return errClosed
	case c = <-r.queue:
	}
	if c == nil {
		return r.finished()
	}
	if err := <-c.done; err != nil {
		return err
	}
	r.reading, r.rest = c, c.packed.Bytes()
	r.blob.Write(r.rest)
	r.size += int64(len(r.rest))
	return nil
}

func (r *reader) finished() error {
	if r.failed != nil {
		return r.failed
	}
	if err := r.finish(Record{DiffID: sum(r.diff), Digest: sum(r.blob), Size: r.size}); err != nil {
		return err
	}
	return io.EOF
}

// Close stops the producer; it may be called twice, and from another goroutine
// than Read'r.
func (r *reader) Close() error {
	r.close()
	return nil
}

func sum(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}
