package layers

import (
	"bytes"
	"io"
	"io/fs"
	"runtime"
	"sync"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/org/nixery-action/internal/nix"
)

// ChunkSize is the most tar bytes in one member or frame. It fixes bytes:
// smaller members compress worse, larger ones leave cores idle at a layer's end.
const ChunkSize = 1 << 20

// Packer makes layers of store paths. All its layers share its compressors, one
// a core, so that any number of layers in flight use all cores and no more
// memory. It is safe for concurrent use.
type Packer struct {
	// Blobs, if set before the first layer is made, is asked for the bytes of a
	// layer that came with a record, before the store is read for them. It must
	// verify what it returns; any error means that it has none.
	Blobs func(Record) (io.ReadCloser, error)

	// Credential, if set before the first layer is made, receives each file that
	// is packed and may hold credentials, as its name in the store path. It is
	// called from any goroutine, and again when a layer is packed again.
	Credential func(in nix.StorePath, name string)

	store       fs.FS
	compression Compression
	mediaType   types.MediaType
	compressors chan compressor // taking one is taking a core
	chunks      sync.Pool       // *member
}

// NewPacker packs from store, a file system whose root is the one that
// nix/store lies in; it must be able to read links ([fs.ReadLinkFS]). OCI
// chooses the media type of the layers, and changes no byte of them.
func NewPacker(store fs.FS, c Compression, oci bool) (*Packer, error) {
	mediaType, err := c.layerType(oci)
	if err != nil {
		return nil, err
	}
	cores := runtime.GOMAXPROCS(0)
	p := &Packer{store: store, compression: c, mediaType: mediaType, compressors: make(chan compressor, cores)}
	p.chunks.New = func() any { return &chunk{raw: make([]byte, 0, ChunkSize)} }
	for range cores {
		compress, err := c.newCompressor()
		if err != nil {
			return nil, err
		}
		p.compressors <- compress
	}
	return p, nil
}

// Layer is the layer of a group. With a record the layer is known from the
// start, without it unread; see [Layer].
func (p *Packer) Layer(g Group, record *Record) *Layer {
	return &Layer{packer: p, key: KeyOf(g, p.compression), group: g, record: record, recalled: record != nil, parts: p.storeParts(g)}
}

// storeParts is the content of a store layer: the folders above, then the paths.
func (p *Packer) storeParts(g Group) func() ([]part, error) {
	return func() ([]part, error) {
		parts := []part{entries(
			Entry{Name: "nix", Mode: modeDir},
			Entry{Name: nix.StoreDir[1:], Mode: modeDir},
		)}
		for _, info := range g {
			parts = append(parts, p.watched(info.Path, walk(p.store, info.Path)))
		}
		return parts, nil
	}
}

// chunk is up to MemberSize bytes of tar on their way through a compressor.
type chunk struct {
	raw    []byte
	packed bytes.Buffer
	done   chan error // of capacity 1: packed is complete, or why it is not
}

func (p *Packer) newChunk() *chunk {
	m := p.chunks.Get().(*chunk)
	m.raw = m.raw[:0]
	m.packed.Reset()
	m.done = make(chan error, 1)
	return m
}

// pack compresses m as soon as a core is free.
func (p *Packer) pack(m *chunk) {
	compress := <-p.compressors
	err := compress(&m.packed, m.raw)
	p.compressors <- compress
	m.done <- err
}
