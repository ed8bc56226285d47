package layers

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"flag"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/popularity"
)

var closureFile = flag.String("closure", "", "benchmark with this closure of the local store (nix path-info --json -r)")

// BenchmarkPack packs all layers of a closure, and the same layers as every
// peer does it: one tar after the other through the standard library's gzip,
// level 6, on one thread. Both hash tar and blob. Whatever the machine, the
// ratios of one run can be compared.
func BenchmarkPack(b *testing.B) {
	groups := benchGroups(b)
	var total int64
	for _, g := range groups {
		total += g.Size()
	}
	var ours, theirs time.Duration
	var oursSize, theirsSize int64
	for b.Loop() {
		start := time.Now()
		oursSize = packAll(b, groups)
		ours += time.Since(start)
		start = time.Now()
		theirsSize = packPlainly(b, groups)
		theirs += time.Since(start)
	}
	mb := float64(total) * float64(b.N) / 1e6
	b.ReportMetric(mb/ours.Seconds(), "MB/s")
	b.ReportMetric(mb/theirs.Seconds(), "stdlib-MB/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "times-as-fast")
	b.ReportMetric(float64(oursSize)/1e6, "MB-out")
	b.ReportMetric(float64(oursSize)/float64(theirsSize), "size/stdlib")
}

// benchGroups plans the closure that -closure names.
func benchGroups(b *testing.B) []Group {
	b.Helper()
	if *closureFile == "" {
		b.Fatal("say which closure: go test -bench Pack ./internal/layers -args -closure FILE (make bench does)")
	}
	f, err := os.Open(*closureFile)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	closure, err := nixbuild.ReadClosure(b.Context(), bufio.NewReader(f))
	if err != nil {
		b.Fatal(err)
	}
	return Plan(closure, Options{Budget: DefaultBudget, Counts: popularity.Embedded()})
}

func packAll(b *testing.B, groups []Group) int64 {
	b.Helper()
	packer := newPacker(b, os.DirFS("/"), DefaultCompression, false)
	layers := make([]*Layer, len(groups))
	var tasks errgroup.Group
	tasks.SetLimit(runtime.GOMAXPROCS(0))
	for i, g := range groups {
		layers[i] = packer.Layer(g, nil)
		tasks.Go(layers[i].Measure)
	}
	if err := tasks.Wait(); err != nil {
		b.Fatal(err)
	}
	var size int64
	for _, l := range layers {
		n, _ := l.Size()
		size += n
	}
	return size
}

func packPlainly(b *testing.B, groups []Group) int64 {
	b.Helper()
	packer := newPacker(b, os.DirFS("/"), DefaultCompression, false)
	var size int64
	for _, g := range groups {
		blob, diff := sha256.New(), sha256.New()
		counted := &counter{w: blob}
		zw, err := gzip.NewWriterLevel(counted, 6)
		if err != nil {
			b.Fatal(err)
		}
		parts, _ := packer.storeParts(g)()
		if err := writeTar(io.MultiWriter(diff, zw), parts, func() error { return nil }); err != nil {
			b.Fatal(err)
		}
		zw.Close()
		size += counted.n
	}
	return size
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.w.Write(p)
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
