package crawl

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/org/nixery-action/internal/bounded/boundedtest"
	"github.com/org/nixery-action/internal/popularity"
)

// mostMemory is what decoding any table may allocate in all.
const mostMemory = 16 * popularity.MaxTable

func TestTableBombs(t *testing.T) {
	for title, file := range map[string][]byte{
		"one name often": boundedtest.Gzip(t, `{`, `"a":1,`, 8<<20, `"a":1}`),
		"short names":    boundedtest.Gzip(t, `{`, `"":1,`, 2<<20, `"b":1}`),
		"blanks":         boundedtest.Gzip(t, `{`, ` `, 2*popularity.MaxTable, `}`),
		"a long name":    boundedtest.Gzip(t, `{"`, `a`, 2*popularity.MaxTable, `":1}`),
		"nested":         boundedtest.Gzip(t, ``, `[`, 8<<20, ``),
	} {
		t.Run(title, func(t *testing.T) {
			boundedtest.Within(t, mostMemory, func() {
				if counts, err := popularity.Decode(file, ""); err == nil {
					t.Errorf("it has %d names", len(counts))
				}
			})
		})
	}
}

// The header of an xz file says how much its decoder has to hold.
func TestXZDictionaryBomb(t *testing.T) {
	file := compressed(t, strings.Repeat(string(path("bash-5.2"))+"\n", 100))
	i := bytes.Index(file, []byte{0x21, 0x01}) // the filter LZMA2 and the length of its property, the dictionary's size
	if i < 0 {
		t.Fatal("no filter is found")
	}
	file[i+2] = 39 // 3 GiB
	fixHeaderSum(file)
	boundedtest.Within(t, 128<<20, func() {
		if _, err := parseStorePaths(file); err == nil || !strings.Contains(err.Error(), "exceeds max") {
			t.Errorf("got %v", err)
		}
	})
}

// fixHeaderSum repairs the CRC-32 of the first block's header, which begins after the 12 bytes of the stream's.
func fixHeaderSum(file []byte) {
	header := file[12 : 12+(int(file[12])+1)*4]
	end := len(header) - 4
	binary.LittleEndian.PutUint32(header[end:], crc32.ChecksumIEEE(header[:end]))
}

func FuzzTable(f *testing.F) {
	f.Add([]byte(`{"glibc-2.38": 7}`))
	f.Add(boundedtest.Gzip(f, `{`, `"a":1,`, 10, `"b":2}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		most := uint64(1<<20 + 128*len(file))
		if bytes.HasPrefix(file, []byte{0x1f, 0x8b}) {
			most = mostMemory
		}
		boundedtest.Within(t, most, func() { _, _ = popularity.Decode(file, "") })
	})
}

func FuzzStorePaths(f *testing.F) {
	f.Add([]byte(string(path("bash-5.2")) + "\n"))
	f.Add(compressed(f, string(path("bash-5.2"))+"\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		most := uint64(1<<20 + 64*len(file))
		if bytes.HasPrefix(file, xzMagic) {
			most = maxDictionary + 8*maxStorePaths
		}
		boundedtest.Within(t, most, func() { _, _ = parseStorePaths(file) })
	})
}

func FuzzNarinfo(f *testing.F) {
	f.Add([]byte("StorePath: " + string(path("bash-5.2")) + "\nReferences: a b\nNarSize: 1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		boundedtest.Within(t, uint64(2<<20+256*len(text)), func() { _, _ = parseNarinfo(path("bash-5.2"), text, nil) })
	})
}
