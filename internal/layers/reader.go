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

// errClosed stops the producer of a pass whose reader has gone.
var errClosed = errors.New("layer closed before its end")

// reader is one reading of a layer's files: a producer writes tar into members, the
// packer's cores compress them side by side, and the reader gets them back in
// order. A bounded number of members waits, so memory is the same for any layer.
type reader struct {
	packer *Packer
	finish func(Record) error // called once, when the last byte was read

	queue chan *chunk // in order of the tar; closed by the producer
	quit  chan struct{}
	close func()

	filling *chunk    // producer's
	diff    hash.Hash // producer's, until queue is closed
	failed  error     // producer's, until queue is closed

	reading *chunk // reader's
	rest    []byte // of reading.packed
	blob    hash.Hash
	size    int64
	end     error // what Read says from now on
}

func (p *Packer) newReader(parts []part, finish func(Record) error) *reader {
	s := &reader{
		packer: p,
		finish: finish,
		queue:  make(chan *chunk, cap(p.compressors)+1),
		quit:   make(chan struct{}),
		diff:   sha256.New(),
		blob:   sha256.New(),
	}
	s.close = sync.OnceFunc(func() { close(s.quit) })
	go s.produce(parts)
	return s
}

func (s *reader) produce(parts []part) {
	defer close(s.queue)
	s.failed = writeTar(s, parts, s.send)
}

// Write takes tar bytes from the producer. It cuts members only where they are
// full, so their bounds depend on the tar alone.
func (s *reader) Write(b []byte) (int, error) {
	s.diff.Write(b)
	for n := len(b); ; {
		if s.filling == nil {
			s.filling = s.packer.newChunk()
		}
		m := s.filling
		took := min(len(b), ChunkSize-len(m.raw))
		m.raw = append(m.raw, b[:took]...)
		b = b[took:]
		if len(m.raw) == ChunkSize {
			if err := s.send(); err != nil {
				return 0, err
			}
		}
		if len(b) == 0 {
			return n, nil
		}
	}
}

// send hands on the member that is being filled, unless nobody reads any more.
func (s *reader) send() error {
	m := s.filling
	if m == nil || len(m.raw) == 0 {
		return nil
	}
	s.filling = nil
	select {
	case s.queue <- m:
		go s.packer.pack(m)
		return nil
	case <-s.quit:
		return errClosed
	}
}

// Read gives the compressed bytes. io.EOF comes only when all of them were read
// and finish agreed; until then the layer is not to be trusted.
func (s *reader) Read(b []byte) (int, error) {
	for len(s.rest) == 0 && s.end == nil {
		s.end = s.next()
	}
	if len(s.rest) == 0 {
		return 0, s.end
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// next makes rest the bytes of the next member, or says why there is none.
func (s *reader) next() error {
	if s.reading != nil {
		s.packer.chunks.Put(s.reading)
		s.reading = nil
	}
	select {
	case <-s.quit:
		return errClosed // even if there is more to be had
	default:
	}
	var m *chunk
	select {
	case <-s.quit:
		return errClosed
	case m = <-s.queue:
	}
	if m == nil {
		return s.finished()
	}
	if err := <-m.done; err != nil {
		return err
	}
	s.reading, s.rest = m, m.packed.Bytes()
	s.blob.Write(s.rest)
	s.size += int64(len(s.rest))
	return nil
}

func (s *reader) finished() error {
	if s.failed != nil {
		return s.failed
	}
	if err := s.finish(Record{DiffID: sum(s.diff), Digest: sum(s.blob), Size: s.size}); err != nil {
		return err
	}
	return io.EOF
}

// Close frees what the pass holds; it may be called twice, and from another
// goroutine than Read's.
func (s *reader) Close() error {
	s.close()
	return nil
}

func sum(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}
