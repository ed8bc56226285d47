package layers

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/stream"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"github.com/org/nixery-action/internal/layers/layerstest"
	"github.com/org/nixery-action/internal/nix"
)

var (
	appPath  = layerstest.Path("app-1.0", 1)
	libPath  = layerstest.Path("lib-2.1", 2)
	filePath = layerstest.Path("readme.txt", 3)
)

// store is a store in memory whose owners, times and odd modes must not count.
func store() fstest.MapFS {
	late := time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)
	in := func(p nix.StorePath, rest string) string { return string(p[1:]) + rest }
	return fstest.MapFS{
		in(appPath, ""):                      {Mode: fs.ModeDir | 0o755, ModTime: late},
		in(appPath, "/bin/app"):              {Data: []byte("#!/bin/sh\necho app\n"), Mode: 0o755 | fs.ModeSetuid, ModTime: late},
		in(appPath, "/bin/lib"):              {Data: []byte(libPath + "/bin/lib"), Mode: fs.ModeSymlink | 0o777},
		in(appPath, "/empty"):                {Mode: fs.ModeDir | 0o700},
		in(appPath, "/share/größe.txt"):      {Data: []byte("unicode"), Mode: 0o600, ModTime: late},
		in(appPath, "/share/"+longName(300)): {Data: []byte("long"), Mode: 0o444},
		in(libPath, "/lib/data"):             {Data: noise(), Mode: 0o444},
		in(libPath, "/lib/zero"):             {Mode: 0o444},
		string(filePath[1:]):                 {Data: []byte("a store path may be a file"), Mode: 0o444},
	}
}

func longName(n int) string { return strings.Repeat("long-", n/5) }

// noise is data that a compressor can make something of, but not much.
var noise = sync.OnceValue(func() []byte {
	rng := rand.New(rand.NewPCG(7, 7))
	b := make([]byte, ChunkSize+17)
	for i := range b {
		b[i] = "abcdefghijklmnop"[rng.IntN(16)]
	}
	return b
})

func groupOf(paths ...nix.StorePath) Group {
	var g Group
	for i, p := range paths {
		g = append(g, nix.PathInfo{Path: p, NarHash: v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%064x", i)}})
	}
	return g
}

func newPacker(t testing.TB, store fs.FS, c Compression, oci bool) *Packer {
	t.Helper()
	p, err := NewPacker(store, c, oci)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func readAll(t *testing.T, open func() (io.ReadCloser, error)) []byte {
	t.Helper()
	rc, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	b, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBytes holds the digests of a layer. If it fails, bytes have changed, and
// every layer of every user is uploaded once more: raise FormatVersion if that
// is what you want, and only then change the constants.
func TestBytes(t *testing.T) {
	for name, c := range map[string]struct {
		compression Compression
		want        Record
		key         Key
	}{
		"gzip": {DefaultCompression, goldenGzip, goldenGzipKey},
		"zstd": {Compression{Zstd, 3}, goldenZstd, goldenZstdKey},
	} {
		t.Run(name, func(t *testing.T) {
			for _, cores := range []int{1, 2, 7} {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
				layer := newPacker(t, store(), c.compression, true).Layer(groupOf(appPath, libPath, filePath), nil)
				if err := layer.Measure(); err != nil {
					t.Fatal(err)
				}
				got, _ := layer.Record()
				if got != c.want || layer.Key() != c.key {
					t.Errorf("%d cores: record %+v, key %s", cores, got, layer.Key())
				}
			}
		})
	}
}

func TestLayerIsATarOfTheStore(t *testing.T) {
	layer := newPacker(t, store(), DefaultCompression, false).Layer(groupOf(appPath, libPath, filePath), nil)
	blob := readAll(t, layer.Compressed)
	zr, err := gzip.NewReader(bytes.NewReader(blob)) // not the library that wrote it
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := io.ReadAll(zr)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(unpacked, readAll(t, layer.Uncompressed)) {
		t.Error("Uncompressed is not what Compressed holds")
	}
	var got []string
	for tr := tar.NewReader(bytes.NewReader(unpacked)); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" || h.ModTime.Unix() != 1 {
			t.Errorf("%s: owner or time leaked: %+v", h.Name, h)
		}
		content, _ := io.ReadAll(tr)
		name := strings.NewReplacer(string(appPath[1:]), "APP", string(libPath[1:]), "LIB", string(filePath[1:]), "FILE",
			longName(300), "LONG").Replace(h.Name)
		got = append(got, fmt.Sprintf("%c %o %s %s%d", h.Typeflag, h.Mode, name, h.Linkname, len(content)))
	}
	want := []string{
		"5 555 nix/ 0", "5 555 nix/store/ 0",
		"5 555 APP/ 0", "5 555 APP/bin/ 0", "0 555 APP/bin/app 19", "2 777 APP/bin/lib " + string(libPath) + "/bin/lib0",
		"5 555 APP/empty/ 0", "5 555 APP/share/ 0", "0 444 APP/share/größe.txt 7", "0 444 APP/share/LONG 4",
		"5 555 LIB/ 0", "5 555 LIB/lib/ 0", fmt.Sprintf("0 444 LIB/lib/data %d", ChunkSize+17), "0 444 LIB/lib/zero 0",
		"0 444 FILE 26",
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestMembersBelongToOneStorePath(t *testing.T) {
	packer := newPacker(t, store(), DefaultCompression, false)
	alone := readAll(t, packer.Layer(groupOf(libPath), nil).Compressed)
	both := readAll(t, packer.Layer(groupOf(appPath, libPath), nil).Compressed)
	head := len(readAll(t, packer.Layer(nil, nil).Compressed)) // directories and end mark
	end := 32                                                  // longer than the end mark's member
	inner := alone[head : len(alone)-end]
	if !bytes.Contains(both, inner) {
		t.Error("a store path's compressed bytes depend on its company")
	}
}

func TestZstdIsReadable(t *testing.T) {
	layer := newPacker(t, store(), Compression{Zstd, 3}, true).Layer(groupOf(appPath, libPath), nil)
	zr, err := zstd.NewReader(bytes.NewReader(readAll(t, layer.Compressed)))
	if err != nil {
		t.Fatal(err)
	}
	defer zr.Close()
	unpacked, err := io.ReadAll(zr)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(unpacked, readAll(t, layer.Uncompressed)) {
		t.Error("zstd frames do not hold the tar")
	}
}

func TestMediaTypes(t *testing.T) {
	for _, c := range []struct {
		algorithm Algorithm
		oci       bool
		want      types.MediaType
	}{{Gzip, false, types.DockerLayer}, {Gzip, true, types.OCILayer}, {Zstd, true, types.OCILayerZStd}} {
		got, err := newPacker(t, store(), Compression{c.algorithm, 3}, c.oci).Layer(groupOf(appPath), nil).MediaType()
		if err != nil || got != c.want {
			t.Errorf("%v: %s, %v", c, got, err)
		}
	}
	for _, c := range []Compression{{Zstd, 3}, {"lzma", 3}, {Gzip, 77}} {
		if _, err := NewPacker(store(), c, false); err == nil {
			t.Errorf("%v makes a schema 2 layer", c)
		}
	}
}

func TestUnreadUntilTheLastByte(t *testing.T) {
	layer := newPacker(t, store(), DefaultCompression, false).Layer(groupOf(libPath), nil)
	unread := func(when string) {
		t.Helper()
		_, digest := layer.Digest()
		_, diffID := layer.DiffID()
		_, size := layer.Size()
		for _, err := range []error{digest, diffID, size} {
			if !errors.Is(err, stream.ErrNotComputed) {
				t.Errorf("%s: %v", when, err)
			}
		}
	}
	unread("new")
	rc, err := layer.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, rc, 1<<16); err != nil {
		t.Fatal(err)
	}
	rc.Close()
	unread("half-way")
	if _, err := io.Copy(io.Discard, rc); !errors.Is(err, errClosed) {
		t.Errorf("reading on after Close: %v", err)
	}
	unread("closed")
	blob := readAll(t, layer.Compressed) // a new pass after a broken one
	digest, err := layer.Digest()
	if want := fmt.Sprintf("sha256:%x", sha256.Sum256(blob)); err != nil || digest.String() != want {
		t.Errorf("digest %v, want %s (%v)", digest, want, err)
	}
	diffID, _ := layer.DiffID()
	if want := fmt.Sprintf("sha256:%x", sha256.Sum256(readAll(t, layer.Uncompressed))); diffID.String() != want {
		t.Errorf("diff ID %v, want %s", diffID, want)
	}
	if size, _ := layer.Size(); size != int64(len(blob)) {
		t.Errorf("size %d, want %d", size, len(blob))
	}
}

func TestKnownLayerReadsNothing(t *testing.T) {
	record := Record{DiffID: v1.Hash{Algorithm: "sha256", Hex: "aa"}, Digest: v1.Hash{Algorithm: "sha256", Hex: "bb"}, Size: 7}
	layer := newPacker(t, fstest.MapFS{}, DefaultCompression, false).Layer(groupOf(libPath), &record)
	if err := layer.Measure(); err != nil {
		t.Fatal(err)
	}
	if got, err := layer.Record(); err != nil || got != record {
		t.Errorf("%v, %v", got, err)
	}
	if layer.Made() {
		t.Error("it says that its bytes were made")
	}
}

func TestMade(t *testing.T) {
	packer := newPacker(t, store(), DefaultCompression, false)
	fresh := packer.Layer(groupOf(libPath), nil)
	if before := fresh.Made(); before || readAll(t, fresh.Compressed) == nil || !fresh.Made() {
		t.Errorf("an unread layer: before %v, after it was read %v", before, fresh.Made())
	}
	record, _ := fresh.Record()
	packer.Blobs = func(Record) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("bytes")), nil }
	cached := packer.Layer(groupOf(libPath), &record)
	if readAll(t, cached.Compressed); cached.Made() {
		t.Error("a layer that came from the cache says that it was made")
	}
}

func TestLyingRecordFails(t *testing.T) {
	packer := newPacker(t, store(), DefaultCompression, false)
	honest := packer.Layer(groupOf(libPath), nil)
	if err := honest.Measure(); err != nil {
		t.Fatal(err)
	}
	truth, _ := honest.Record()
	for name, lie := range map[string]func(*Record){
		"digest":  func(r *Record) { r.Digest.Hex = strings.Repeat("0", 64) },
		"diff ID": func(r *Record) { r.DiffID.Hex = strings.Repeat("0", 64) },
		"size":    func(r *Record) { r.Size++ },
	} {
		record := truth
		lie(&record)
		rc, err := packer.Layer(groupOf(libPath), &record).Compressed()
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, rc)
		rc.Close()
		var mismatch *MismatchError
		if !errors.As(err, &mismatch) || mismatch.Got != truth {
			t.Errorf("%s: %v", name, err)
		}
	}
	if readAll(t, packer.Layer(groupOf(libPath), &truth).Compressed) == nil {
		t.Error("an honest record must pass")
	}
}

func TestConcurrentPassesAgree(t *testing.T) {
	layer := newPacker(t, store(), DefaultCompression, false).Layer(groupOf(appPath, libPath), nil)
	var wg sync.WaitGroup
	sums := make([][32]byte, 3)
	for i := range sums {
		wg.Go(func() { sums[i] = sha256.Sum256(readAll(t, layer.Compressed)) })
	}
	wg.Wait()
	for _, s := range sums[1:] {
		if s != sums[0] {
			t.Fatal("two passes gave different bytes")
		}
	}
}

func TestBadStore(t *testing.T) {
	for name, c := range map[string]struct {
		change func(fstest.MapFS)
		want   string
	}{
		"path gone":  {func(m fstest.MapFS) { clear(m) }, "reading store path"},
		"device":     {func(m fstest.MapFS) { m[string(libPath[1:])+"/dev"] = &fstest.MapFile{Mode: fs.ModeDevice} }, "neither file, directory nor link"},
		"named pipe": {func(m fstest.MapFS) { m[string(libPath[1:])+"/pipe"] = &fstest.MapFile{Mode: fs.ModeNamedPipe} }, "neither file, directory nor link"},
	} {
		s := store()
		c.change(s)
		err := newPacker(t, s, DefaultCompression, false).Layer(groupOf(libPath), nil).Measure()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// growing is a file that has another size than its directory says.
type growing struct{ fstest.MapFS }

func (g growing) Open(name string) (fs.File, error) {
	if strings.HasSuffix(name, "/lib/zero") {
		return g.MapFS.Open(strings.TrimSuffix(name, "zero") + "data")
	}
	return g.MapFS.Open(name)
}

func TestFileThatChangesIsAnError(t *testing.T) {
	err := newPacker(t, growing{store()}, DefaultCompression, false).Layer(groupOf(libPath), nil).Measure()
	if err == nil || !strings.Contains(err.Error(), "lib/zero") {
		t.Errorf("got %v", err)
	}
}

// A bubble ends when all its goroutines have, and one that waits for ever is a failure.
func TestClosedPassesLeaveNoGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// More chunks than a reader lets wait: Close must stop its producer.
		members := 2 * (runtime.GOMAXPROCS(0) + 4)
		large := fstest.MapFS{string(filePath[1:]): {Data: make([]byte, members*ChunkSize), Mode: 0o444}}
		packer := newPacker(t, large, DefaultCompression, false)
		for range 5 {
			rc, err := packer.Layer(groupOf(filePath), nil).Compressed()
			if err != nil {
				t.Fatal(err)
			}
			io.CopyN(io.Discard, rc, 10)
			rc.Close()
			rc.Close()
		}
	})
}

func TestKeyCoversWhatFixesBytes(t *testing.T) {
	base := groupOf(appPath, libPath)
	keys := map[Key]string{KeyOf(base, DefaultCompression): "base"}
	other := groupOf(appPath, libPath)
	other[1].NarHash.Hex = strings.Repeat("f", 64)
	for name, k := range map[string]Key{
		"one path fewer": KeyOf(groupOf(appPath), DefaultCompression),
		"NAR hash":       KeyOf(other, DefaultCompression),
		"level":          KeyOf(base, Compression{Gzip, 7}),
		"algorithm":      KeyOf(base, Compression{Zstd, 6}),
		"kind":           DefaultCompression.key("root", base),
	} {
		if old, taken := keys[k]; taken || len(k) != 64 {
			t.Errorf("%s has the key of %s: %s", name, old, k)
		}
		keys[k] = name
	}
}
