package bench

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

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/popularity"
)

var closureFile = flag.String("closure", "", "benchmark with this closure of the local store (nix path-info --json -r)")

// BenchmarkPack packs all layers of a closure, and the same layers as every peer does it: one tar after the other through the standard
// library's gzip, level 6, on one thread, while another reads the store. Both hash tar and blob. Ratios within one run can be compared
// between machines.
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
func benchGroups(b *testing.B) []layers.Group {
	b.Helper()
	if *closureFile == "" {
		b.Fatal("say which closure: go test -bench Pack ./bench -args -closure FILE (make bench does)")
	}
	f, err := os.Open(*closureFile)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	closure, err := nix.ReadClosure(b.Context(), bufio.NewReader(f))
	if err != nil {
		b.Fatal(err)
	}
	return layers.Plan(closure, layers.Options{Budget: layers.DefaultBudget, Counts: popularity.Embedded()})
}

func newPacker(b *testing.B) *layers.Packer {
	b.Helper()
	packer, err := layers.NewPacker(os.DirFS("/"), layers.DefaultCompression, false)
	if err != nil {
		b.Fatal(err)
	}
	return packer
}

func packAll(b *testing.B, groups []layers.Group) int64 {
	b.Helper()
	packer := newPacker(b)
	packed := make([]*layers.Layer, len(groups))
	var tasks errgroup.Group
	tasks.SetLimit(runtime.GOMAXPROCS(0))
	for i, g := range groups {
		packed[i] = packer.Layer(g, nil)
		tasks.Go(packed[i].Measure)
	}
	if err := tasks.Wait(); err != nil {
		b.Fatal(err)
	}
	var size int64
	for _, l := range packed {
		n, _ := l.Size()
		size += n
	}
	return size
}

func packPlainly(b *testing.B, groups []layers.Group) int64 {
	b.Helper()
	packer := newPacker(b)
	var size int64
	for _, g := range groups {
		blob, diff := sha256.New(), sha256.New()
		counted := &counter{w: blob}
		zw, err := gzip.NewWriterLevel(counted, 6)
		if err != nil {
			b.Fatal(err)
		}
		tar, err := packer.Layer(g, nil).Uncompressed()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.MultiWriter(diff, zw), tar); err != nil {
			b.Fatal(err)
		}
		tar.Close()
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
