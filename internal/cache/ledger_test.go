package cache

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/org/nixery-action/internal/bounded/boundedtest"
	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
)

func encode(t testing.TB, l *Ledger) []byte {
	t.Helper()
	file, err := l.Encode(Key{}, "")
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func decodeFile(t testing.TB, file []byte) (*Ledger, error) {
	t.Helper()
	return Decode(t.Context(), bytes.NewReader(file), Key{}, "")
}

func TestLedgerRoundTrip(t *testing.T) {
	l := (&Ledger{}).With(page("a")).With(page("b"))
	file := encode(t, l)
	got, err := decodeFile(t, file)
	if err != nil {
		t.Fatal(err)
	}
	checkKnows(t, got, "a", "b")
	if again := encode(t, got); !bytes.Equal(again, file) {
		t.Error("encoded again it is another file")
	}
	if len(got.pages) != 2 {
		t.Errorf("it has %d pages", len(got.pages))
	}
}

// A record that lied is replaced by the next run's.
func TestNewerPageCounts(t *testing.T) {
	lie, truth := page("a"), page("a")
	key := layers.Key(hashOf("a").Hex)
	lie.Layers[key] = layers.Record{DiffID: hashOf("x"), Digest: hashOf("y"), Size: 3}
	checkKnows(t, (&Ledger{}).With(lie).With(truth), "a")
	checkKnows(t, join((&Ledger{}).With(truth), (&Ledger{}).With(lie)), "a")
}

func TestOldPagesGo(t *testing.T) {
	l := &Ledger{}
	for n := range mostPages + 5 {
		l = l.With(page(fmt.Sprint(n)))
	}
	if _, ok := l.Image("4"); ok || len(l.pages) != mostPages {
		t.Errorf("of %d pages the oldest is still there: %v", len(l.pages), ok)
	}
	checkKnows(t, l, "5", fmt.Sprint(mostPages+4))
}

// What an older page says again costs nothing, and a closure is whole though its paths are on two pages.
func TestPagesShare(t *testing.T) {
	one, two := page("a"), page("b")
	app := two.Paths[storePath("app-b")]
	app.References = []nix.StorePath{storePath("lib-a"), storePath("lib-b")}
	two.Paths[app.Path] = app
	l := (&Ledger{}).With(one).With(two)
	if closure, ok := l.Closure([]nix.StorePath{app.Path}); !ok || len(closure.Paths) != 3 {
		t.Errorf("got %v, %v", closure, ok)
	}
	if l = l.With(one); len(l.pages) != 2 {
		t.Errorf("%d pages", len(l.pages))
	}
	if _, ok := l.Closure([]nix.StorePath{storePath("unknown")}); ok {
		t.Error("an unknown root has a closure")
	}
	delete(one.Paths, storePath("lib-a"))
	if _, ok := (&Ledger{}).With(one).Closure([]nix.StorePath{storePath("app-a")}); ok {
		t.Error("a closure lacks a path")
	}
}

func TestNothingNew(t *testing.T) {
	l := (&Ledger{}).With(page("a"))
	part := NewPage()
	part.Images["a"] = page("a").Images["a"]
	other := page("a")
	other.Images["a"] = hashOf("z")
	for name, test := range map[string]struct {
		page  Page
		knows bool
	}{
		"the same": {page("a"), true}, "a part": {part, true}, "empty": {NewPage(), true},
		"other": {page("b"), false}, "changed": {other, false},
	} {
		if got := l.knows(test.page); got != test.knows {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAddClosure(t *testing.T) {
	p := NewPage()
	want := page("a")
	closure, err := nix.NewClosure([]nix.StorePath{storePath("app-a")},
		[]nix.PathInfo{want.Paths[storePath("app-a")], want.Paths[storePath("lib-a")]})
	if err != nil {
		t.Fatal(err)
	}
	p.AddClosure(closure)
	if got, ok := (&Ledger{}).With(p).Closure(closure.Roots); !ok || len(got.Paths) != 2 {
		t.Errorf("got %v", got)
	}
}

// fileOf is a well-formed file around any JSON.
func fileOf(format, text string) []byte {
	var body bytes.Buffer
	zip := gzip.NewWriter(&body)
	_, _ = zip.Write([]byte(text))
	_ = zip.Close()
	return fmt.Appendf(nil, "%s%s %s\n%s", ledgerMagic, format, digestOf(body.Bytes()), body.Bytes())
}

func TestDecodeRefuses(t *testing.T) {
	good, path := hashOf("x").String(), string(storePath("a"))
	layer := func(key, diffID, digest, size string) string {
		return fmt.Sprintf(`{"pages":[{"layers":{%q:{"diffID":%q,"digest":%q,"size":%s}}}]}`, key, diffID, digest, size)
	}
	onePath := func(path, rest string) string { return fmt.Sprintf(`{"pages":[{"paths":{%q:{%s}}}]}`, path, rest) }
	for name, file := range map[string][]byte{
		"empty":              nil,
		"no line":            []byte(ledgerMagic),
		"other magic":        []byte("hello\n"),
		"other digest":       bytes.Replace(fileOf("2", "{}"), []byte("sha256:"), []byte("sha256:0"), 1),
		"not gzip":           fmt.Appendf(nil, "%s2 %s\nplain", ledgerMagic, digestOf([]byte("plain"))),
		"not JSON":           fileOf("2", "hello"),
		"two values":         fileOf("2", "{} {}"),
		"unknown field":      fileOf("2", `{"pages":[],"more":1}`),
		"layer key":          fileOf("2", layer("key", good, good, "1")),
		"upper-case key":     fileOf("2", layer(strings.Repeat("A", 64), good, good, "1")),
		"layer diffID":       fileOf("2", layer(hashOf("k").Hex, "sha256:12", good, "1")),
		"layer sha512":       fileOf("2", layer(hashOf("k").Hex, good, "sha512:"+strings.Repeat("0", 128), "1")),
		"layer without":      fileOf("2", fmt.Sprintf(`{"pages":[{"layers":{%q:{"size":1}}}]}`, hashOf("k").Hex)),
		"layer size":         fileOf("2", layer(hashOf("k").Hex, good, good, "-1")),
		"path":               fileOf("2", onePath("/etc/passwd", `"narHash":"`+good+`"`)),
		"path in path":       fileOf("2", onePath(path+"/../x", `"narHash":"`+good+`"`)),
		"path without hash":  fileOf("2", onePath(path, `"narSize":1`)),
		"path size":          fileOf("2", onePath(path, `"narSize":-1,"narHash":"`+good+`"`)),
		"path reference":     fileOf("2", onePath(path, `"narHash":"`+good+`","references":["x"]`)),
		"references twice":   fileOf("2", onePath(path, fmt.Sprintf(`"narHash":%q,"references":[%q,%q]`, good, path, path))),
		"references unorder": fileOf("2", onePath(path, fmt.Sprintf(`"narHash":%q,"references":[%q,%q]`, good, path+"b", path+"a"))),
		"image key":          fileOf("2", fmt.Sprintf(`{"pages":[{"images":{"":%q}}]}`, good)),
		"root key":           fileOf("2", fmt.Sprintf(`{"pages":[{"roots":{"":[{"name":"a","path":%q}]}}]}`, path)),
		"root path":          fileOf("2", `{"pages":[{"roots":{"k":[{"name":"a","path":"/etc"}]}}]}`),
		"long image key":     fileOf("2", fmt.Sprintf(`{"pages":[{"images":{%q:%q}}]}`, strings.Repeat("k", longestKey+1), good)),
		"too long":           append(fileOf("2", "{}"), make([]byte, largestLedger)...),
	} {
		if l, err := decodeFile(t, file); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("%s: got %v, %v", name, l, err)
		}
	}
	if _, err := decodeFile(t, fileOf("other", "{}")); !errors.Is(err, ErrNotFound) {
		t.Errorf("another format: %v", err)
	}
	if l, err := decodeFile(t, fileOf("2", "{}")); err != nil || !l.Empty() {
		t.Errorf("an empty ledger: %v, %v", l, err)
	}
}

// A ledger that would not be read is not written: its oldest pages are left out.
func TestEncodeFits(t *testing.T) {
	big := NewPage()
	for n := range 1000 {
		key := hashOf(fmt.Sprint(n))
		big.Layers[layers.Key(key.Hex)] = layers.Record{DiffID: hashOf(key.Hex), Digest: hashOf("b" + key.Hex), Size: 1}
	}
	l := (&Ledger{}).With(big).With(page("a"))
	if whole := encode(t, l); len(whole) < 100_000 {
		t.Fatalf("the whole ledger has only %d bytes", len(whole))
	}
	file, err := l.encode(Key{}, "", 100_000, mostEntries)
	if err != nil || len(file) > 100_000 {
		t.Fatalf("%d bytes, %v", len(file), err)
	}
	if l, err = decodeFile(t, file); err != nil {
		t.Fatal(err)
	}
	checkKnows(t, l, "a")
}

// A small file may hold much.
func TestDecodeStops(t *testing.T) {
	text := `{"pages":[]` + strings.Repeat(" ", 10_000) + "}"
	_, body, _ := bytes.Cut(fileOf("2", text), []byte("\n"))
	for _, limit := range []int64{5, 10_000, int64(len(text)) - 1} {
		if _, err := decodePages(t.Context(), body, limits{limit, mostEntries}); err == nil {
			t.Errorf("%d bytes were decoded within %d", len(text), limit)
		}
	}
	if _, err := decodePages(t.Context(), body, limits{int64(len(text)), mostEntries}); err != nil {
		t.Error(err)
	}
}

// A real one is kilobytes.
func TestLedgerIsSmall(t *testing.T) {
	p := NewPage()
	for n := range 150 {
		path := storePath(fmt.Sprint("package-", n))
		p.Paths[path] = nix.PathInfo{Path: path, NarHash: hashOf(string(path)), NarSize: 1 << 20}
		p.Layers[layers.Key(hashOf(fmt.Sprint(n)).Hex)] = layers.Record{DiffID: hashOf(fmt.Sprint("t", n)), Digest: hashOf(fmt.Sprint("b", n)), Size: 1 << 20}
	}
	if size := len(encode(t, (&Ledger{}).With(p))); size > 40<<10 {
		t.Errorf("150 paths and layers are %d bytes", size)
	}
}

func TestLanes(t *testing.T) {
	ids := []Identity{
		{}, {Spec: "a"}, {Image: "a"}, {Platform: "a"}, {Spec: "a", Image: "b"}, {Spec: "ab"}, {Spec: "a", Platform: "b"}, {Spec: "b", Image: "a"},
	}
	seen := map[Lane]bool{}
	for _, id := range ids {
		for _, scope := range []string{"", "a", "b"} {
			lane := id.Lane(scope)
			if seen[lane] || len(lane) != len(lanePrefix)+40 || (Name{lane, 1}).check() != nil {
				t.Errorf("lane of %v in %q is %s", id, scope, lane)
			}
			seen[lane] = true
		}
	}
	// A change of these is a change of lanePrefix: older entries would be looked for in vain, and never pruned.
	if got := (Identity{"nixery.yaml", "box", "linux/arm64"}).Lane("x"); got != "nixery1-509cf07232ce732430db835ca5958ea98686241c" {
		t.Errorf("a lane has become %s", got)
	}
}

// checkDecoded wants what was accepted to be written and read again unchanged, and no more memory to be used than most.
func checkDecoded(t *testing.T, most uint64, file []byte) {
	t.Helper()
	var l *Ledger
	var err error
	boundedtest.Within(t, most, func() { l, err = decodeFile(t, file) })
	if err != nil {
		return
	}
	again, err := decodeFile(t, encode(t, l))
	if err != nil || !bytes.Equal(encode(t, again), encode(t, l)) {
		t.Errorf("what was decoded cannot be decoded again: %v", err)
	}
}
