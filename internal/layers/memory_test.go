package layers

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/org/nixery-action/internal/layers/layerstest"
	"github.com/org/nixery-action/internal/nix"
)

// sparseStore is a store on disk with one path: a program of size bytes, all
// zero, of which the disk holds none.
func sparseStore(t testing.TB, size int64) (root string, path nix.StorePath) {
	t.Helper()
	root, path = t.TempDir(), layerstest.Path("large-1", 9)
	if err := os.MkdirAll(filepath.Join(root, string(path)), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(root, string(path), "large"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return root, path
}

// peakHeap packs the only path of a store and returns the most bytes of heap in
// use that it saw on the way.
func peakHeap(t testing.TB, root string, path nix.StorePath, c Compression) uint64 {
	t.Helper()
	runtime.GC()
	layer := newPacker(t, os.DirFS(root), c, false).Layer(groupOf(path), nil)
	blob, err := layer.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	var peak uint64
	for buf := make([]byte, 1<<20); ; {
		_, err := io.ReadFull(blob, buf)
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapInuse)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return peak
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestMemoryIsFlat(t *testing.T) {
	stored := Compression{Gzip, 0} // all the buffers, none of the time
	small := peakOf(t, 20<<20, stored)
	large := peakOf(t, 400<<20, stored)
	t.Logf("peak heap: %d KiB for 20 MiB, %d KiB for 400 MiB", small>>10, large>>10)
	if large > small+32<<20 || large > 100<<20 {
		t.Errorf("memory grows with the layer: %d bytes for 20 MiB, %d for 400 MiB", small, large)
	}
}

func peakOf(t testing.TB, size int64, c Compression) uint64 {
	t.Helper()
	root, path := sparseStore(t, size)
	return peakHeap(t, root, path, c)
}

// BenchmarkPackMemory packs one small and one large file; the peaks must be
// alike.
func BenchmarkPackMemory(b *testing.B) {
	for b.Loop() {
		for name, size := range map[string]int64{"20MB": 20e6, "2GB": 2e9} {
			b.ReportMetric(float64(peakOf(b, size, DefaultCompression))/1e6, "peak-MB-"+name)
		}
	}
}
