package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/org/nixery-action/internal/bounded"
	"github.com/org/nixery-action/internal/bounded/boundedtest"
)

// mostMemory is what decoding any history may allocate in all. The largest genuine ones take a third of it.
const mostMemory = 256 << 20

// bombs are gzipped JSON that unfolds to far more than it weighs.
func bombs(t testing.TB) map[string][]byte {
	const size = maxDecoded + 1<<20 // bytes
	path := string(storePath("a"))
	root := fmt.Sprintf(`{"name":"","path":%q},`, path)
	const entry = `"k":1,`
	return map[string][]byte{
		"snapshots":            boundedtest.Gzip(t, `{"snapshots":[`, `{},`, size/3, `{}]}`),
		"fields of a snapshot": boundedtest.Gzip(t, `{"snapshots":[{`, `"layers":{},`, size/12, `"layers":{}}]}`),
		"fields":               boundedtest.Gzip(t, `{`, `"snapshots":[],`, size/11, `"snapshots":[]}`),
		"one entry often":      boundedtest.Gzip(t, `{"snapshots":[{"inspected":{`, entry, size/len(entry), entry[:len(entry)-1]+`}}]}`),
		"roots":                boundedtest.Gzip(t, `{"snapshots":[{"roots":{"k":[`, root, size/len(root), root[:len(root)-1]+`]}}]}`),
		"references":           boundedtest.Gzip(t, fmt.Sprintf(`{"snapshots":[{"paths":{%q:{"references":[`, path), `"",`, size/3, `""]}}}]}`),
		"nested":               boundedtest.Gzip(t, `{"snapshots":[{"inspected":{"k":`, `[`, size, ``),
		"a long text":          boundedtest.Gzip(t, `{"snapshots":[{"inspected":{"`, `k`, size, `":1}}]}`),
		"blanks":               boundedtest.Gzip(t, `{"snapshots":[`, ` `, size, `]}`),
		"after the end":        boundedtest.Gzip(t, `{}`, ` `, size, ``),
		"null":                 boundedtest.Gzip(t, `{"snapshots":[`, `null,`, size/5, `null]}`),
	}
}

func historyOf(body []byte) []byte {
	return append(firstLine(Key{}, "", body), body...)
}

func TestHistoryBombs(t *testing.T) {
	for title, body := range bombs(t) {
		t.Run(title, func(t *testing.T) {
			boundedtest.Within(t, mostMemory, func() {
				if l, err := decodeFile(t, historyOf(body)); err == nil {
					t.Errorf("it has %d snapshots", len(l.snapshots))
				}
			})
		})
	}
}

// What is within the limits takes no longer than it should, though its snapshots are compared with each other.
func TestLargestHistory(t *testing.T) {
	var text strings.Builder
	text.WriteString(`{"snapshots":[`)
	for snapshot := range maxSnapshots {
		text.WriteString(strings.TrimPrefix(`,{"inspected":{`, strings.Repeat(",", btoi(snapshot == 0))))
		for n := range maxEntries / maxSnapshots {
			fmt.Fprintf(&text, `%s"%d.%d":%d`, strings.Repeat(",", btoi(n > 0)), snapshot, n, 1700000000+n)
		}
		text.WriteString(`}}`)
	}
	text.WriteString(`]}`)
	boundedtest.Within(t, mostMemory, func() {
		l, err := decodeFile(t, fileOf("3", text.String()))
		if err != nil || len(l.snapshots) != maxSnapshots || count(l.snapshots) != maxEntries {
			t.Fatalf("got %v", err)
		}
	})
	more := strings.Replace(text.String(), `{"inspected":{`, `{"inspected":{"more":1,`, 1)
	var over *bounded.Error
	if _, err := decodeFile(t, fileOf("3", more)); !errors.As(err, &over) || over.Most != maxEntries {
		t.Errorf("one entry more: %v", err)
	}
	snapshots := `{"snapshots":[` + strings.Repeat("{},", maxSnapshots) + `{}]}`
	if _, err := decodeFile(t, fileOf("3", snapshots)); !errors.As(err, &over) || over.Most != maxSnapshots {
		t.Errorf("one snapshot more: %v", err)
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A history that would not be read is not written, whatever makes it too large.
func TestEncodeFitsEveryLimit(t *testing.T) {
	l := (&History{}).With(snapshot("a")).With(snapshot("b"))
	file, err := l.encode(Key{}, "", maxEncoded, count(l.snapshots)-1)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeFile(t, file)
	if err != nil || len(got.snapshots) != 1 {
		t.Fatalf("got %v", err)
	}
	checkKnows(t, got, "b")
}

// A run that is cancelled does not decode to the end, at whatever place it is.
func TestDecodingEndsWithItsContext(t *testing.T) {
	file := historyOf(bombs(t)["blanks"])
	for _, after := range []int64{1, 10, 100} {
		ctx := boundedtest.EndingAfter(t.Context(), after)
		_, err := Decode(ctx, bytes.NewReader(file), Key{}, "")
		if !errors.Is(err, context.Canceled) || !ctx.Ended() {
			t.Errorf("after %d questions: %v", after, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(f, (&History{}).With(snapshot("a"))))
	f.Add([]byte(`{"snapshots":[{"inspected":{"k":1}}]}`))
	f.Add([]byte(magic + "9 x\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		// What a few hundred bytes of JSON become is maps, texts and a decoder: some dozens of times as much.
		most := uint64(1<<20 + 64*len(file))
		checkDecoded(t, most+mostUnzipped(file), file)
		checkDecoded(t, most, fileOf("3", string(file)))
	})
}

// mostUnzipped is what gzip may make of a few bytes, see TestHistoryBombs.
func mostUnzipped(file []byte) uint64 {
	if bytes.Contains(file, []byte("\x1f\x8b")) {
		return mostMemory
	}
	return 0
}
