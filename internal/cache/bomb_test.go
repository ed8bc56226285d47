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

// mostMemory is what decoding any ledger may allocate in all. The largest genuine ones take a third of it.
const mostMemory = 256 << 20

// bombs are gzipped JSON that unfolds to far more than it weighs.
func bombs(t testing.TB) map[string][]byte {
	const size = largestDecoded + 1<<20 // bytes
	digest, path := hashOf("x").String(), string(storePath("a"))
	root := fmt.Sprintf(`{"name":"","path":%q},`, path)
	entry := fmt.Sprintf(`"k":%q,`, digest)
	return map[string][]byte{
		"pages":            boundedtest.Gzip(t, `{"pages":[`, `{},`, size/3, `{}]}`),
		"fields of a page": boundedtest.Gzip(t, `{"pages":[{`, `"layers":{},`, size/12, `"layers":{}}]}`),
		"fields":           boundedtest.Gzip(t, `{`, `"pages":[],`, size/11, `"pages":[]}`),
		"one entry often":  boundedtest.Gzip(t, `{"pages":[{"images":{`, entry, size/len(entry), entry[:len(entry)-1]+`}}]}`),
		"roots":            boundedtest.Gzip(t, `{"pages":[{"roots":{"k":[`, root, size/len(root), root[:len(root)-1]+`]}}]}`),
		"references":       boundedtest.Gzip(t, fmt.Sprintf(`{"pages":[{"paths":{%q:{"references":[`, path), `"",`, size/3, `""]}}}]}`),
		"nested":           boundedtest.Gzip(t, `{"pages":[{"images":{"k":`, `[`, size, ``),
		"a long text":      boundedtest.Gzip(t, `{"pages":[{"images":{"`, `k`, size, `":1}}]}`),
		"blanks":           boundedtest.Gzip(t, `{"pages":[`, ` `, size, `]}`),
		"after the end":    boundedtest.Gzip(t, `{}`, ` `, size, ``),
		"null":             boundedtest.Gzip(t, `{"pages":[`, `null,`, size/5, `null]}`),
	}
}

func ledgerOf(body []byte) []byte {
	return append(firstLine(Key{}, "", body), body...)
}

func TestLedgerBombs(t *testing.T) {
	for title, body := range bombs(t) {
		t.Run(title, func(t *testing.T) {
			boundedtest.Within(t, mostMemory, func() {
				if l, err := decodeFile(t, ledgerOf(body)); err == nil {
					t.Errorf("it has %d pages", len(l.pages))
				}
			})
		})
	}
}

// What is within the limits takes no longer than it should, though its pages are compared with each other.
func TestLargestLedger(t *testing.T) {
	var text strings.Builder
	text.WriteString(`{"pages":[`)
	for page := range mostPages {
		text.WriteString(strings.TrimPrefix(`,{"images":{`, strings.Repeat(",", btoi(page == 0))))
		for n := range mostEntries / mostPages {
			fmt.Fprintf(&text, `%s"%d.%d":%q`, strings.Repeat(",", btoi(n > 0)), page, n, hashOf("x"))
		}
		text.WriteString(`}}`)
	}
	text.WriteString(`]}`)
	boundedtest.Within(t, mostMemory, func() {
		l, err := decodeFile(t, fileOf("2", text.String()))
		if err != nil || len(l.pages) != mostPages || count(l.pages) != mostEntries {
			t.Fatalf("got %v", err)
		}
	})
	more := strings.Replace(text.String(), `{"images":{`, `{"images":{"more":"`+hashOf("x").String()+`",`, 1)
	var over *bounded.Error
	if _, err := decodeFile(t, fileOf("2", more)); !errors.As(err, &over) || over.Most != mostEntries {
		t.Errorf("one entry more: %v", err)
	}
	pages := `{"pages":[` + strings.Repeat("{},", mostPages) + `{}]}`
	if _, err := decodeFile(t, fileOf("2", pages)); !errors.As(err, &over) || over.Most != mostPages {
		t.Errorf("one page more: %v", err)
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A ledger that would not be read is not written, whatever makes it too large.
func TestEncodeFitsEveryLimit(t *testing.T) {
	l := (&Ledger{}).With(page("a")).With(page("b"))
	file, err := l.encode(Key{}, "", largestLedger, count(l.pages)-1)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeFile(t, file)
	if err != nil || len(got.pages) != 1 {
		t.Fatalf("got %v", err)
	}
	checkKnows(t, got, "b")
}

// A run that is cancelled does not decode to the end, at whatever place it is.
func TestDecodingEndsWithItsContext(t *testing.T) {
	file := ledgerOf(bombs(t)["blanks"])
	for _, after := range []int64{1, 10, 100} {
		ctx := boundedtest.EndingAfter(t.Context(), after)
		_, err := Decode(ctx, bytes.NewReader(file), Key{}, "")
		if !errors.Is(err, context.Canceled) || !ctx.Ended() {
			t.Errorf("after %d questions: %v", after, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(f, (&Ledger{}).With(page("a"))))
	f.Add([]byte(`{"pages":[{"images":{"k":"` + hashOf("x").String() + `"}}]}`))
	f.Add([]byte(ledgerMagic + "9 x\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		// What a few hundred bytes of JSON become is maps, texts and a decoder: some dozens of times as much.
		most := uint64(1<<20 + 64*len(file))
		checkDecoded(t, most+mostUnzipped(file), file)
		checkDecoded(t, most, fileOf("2", string(file)))
	})
}

// mostUnzipped is what gzip may make of a few bytes, see TestLedgerBombs.
func mostUnzipped(file []byte) uint64 {
	if bytes.Contains(file, []byte("\x1f\x8b")) {
		return mostMemory
	}
	return 0
}
