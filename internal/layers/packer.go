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

// ChunkSize is the most tar bytes in one chunk, which becomes one gzip member or
// zstd frame. It fixes bytes: smaller chunks compress worse, larger ones leave
// cores idle at a layer's end.
const ChunkSize = 1 << 20

// Packer turns groups of store paths into layers. All its layers share its
// compressors, one a core, so that any number of layers that are read at once use
// all cores and no more memory. It is safe for concurrent use.
type Packer struct {
	// Blobs, if set before the first call of Layer or Root, returns the bytes of a
	// layer that came with a record; the store is read only if it returns an
	// error. It must verify the bytes.
	Blobs func(Record) (io.ReadCloser, error)

	// Credential, if set before the first call of Layer, receives each file that is
	// packed and may hold credentials, as its name in the store path. It is called
	// from any goroutine, and again when a layer is packed again.
	Credential func(in nix.StorePath, name string)

	store       fs.FS
	compression Compression
	mediaType   types.MediaType
	compressors chan compressor // one a core; receiving one reserves a core
	chunks      sync.Pool       // *chunk
}

// NewPacker returns a packer that reads from store, a file system whose root
// contains the directory nix/store; it must implement [fs.ReadLinkFS]. The flag
// oci selects the media type of the layers, and changes no byte of them.
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

// Layer returns the layer of a group. With a record the layer is known from the
// start, without one it is unread; see [Layer].
func (p *Packer) Layer(g Group, record *Record) *Layer {
	return &Layer{packer: p, key: KeyOf(g, p.compression), group: g, record: record, recalled: record != nil, parts: p.storeParts(g)}
}

// storeParts returns the content of a store layer: the directories nix/ and
// nix/store/, then one part a path.
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

// chunk is up to ChunkSize bytes of tar, and the member or frame they become.
type chunk struct {
	raw    []byte
	packed bytes.Buffer
	done   chan error // of capacity 1: receives nil when packed is complete, or the error
}

func (p *Packer) newChunk() *chunk {
	c := p.chunks.Get().(*chunk)
	c.raw = c.raw[:0]
	c.packed.Reset()
	c.done = make(chan error, 1)
	return c
}

// pack compresses c as soon as a core is free.
func (p *Packer) pack(c *chunk) {
	compress := <-p.compressors
	err := compress(&c.packed, c.raw)
	p.compressors <- compress
	c.done <- err
}
