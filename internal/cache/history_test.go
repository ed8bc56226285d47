package cache

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/org/nixery-action/internal/bounded/boundedtest"
	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
)

func encode(t testing.TB, l *History) []byte {
	t.Helper()
	file, err := l.Encode(Key{}, "")
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func decodeFile(t testing.TB, file []byte) (*History, error) {
	t.Helper()
	return Decode(t.Context(), bytes.NewReader(file), Key{}, "")
}

func TestHistoryRoundTrip(t *testing.T) {
	l := (&History{}).With(snapshot("a")).With(snapshot("b"))
	file := encode(t, l)
	got, err := decodeFile(t, file)
	if err != nil {
		t.Fatal(err)
	}
	checkKnows(t, got, "a", "b")
	if again := encode(t, got); !bytes.Equal(again, file) {
		t.Error("encoded again it is another file")
	}
	if len(got.snapshots) != 2 {
		t.Errorf("it has %d snapshots", len(got.snapshots))
	}
}

// A record that lied is replaced by the next run's.
func TestNewerSnapshotCounts(t *testing.T) {
	lie, truth := snapshot("a"), snapshot("a")
	key := layers.Key(hashOf("a").Hex)
	lie.Layers[key] = layers.Record{DiffID: hashOf("x"), Digest: hashOf("y"), Size: 3}
	checkKnows(t, (&History{}).With(lie).With(truth), "a")
	checkKnows(t, join((&History{}).With(truth), (&History{}).With(lie)), "a")
}

func TestOldSnapshotsGo(t *testing.T) {
	l := &History{}
	for n := range maxSnapshots + 5 {
		l = l.With(snapshot(fmt.Sprint(n)))
	}
	if _, ok := l.Inspected("4"); ok || len(l.snapshots) != maxSnapshots {
		t.Errorf("of %d snapshots the oldest is still there: %v", len(l.snapshots), ok)
	}
	checkKnows(t, l, "5", fmt.Sprint(maxSnapshots+4))
}

// What an older snapshot says again costs nothing, and a closure is whole though its paths are on two snapshots.
func TestSnapshotsShare(t *testing.T) {
	one, two := snapshot("a"), snapshot("b")
	app := two.Paths[storePath("app-b")]
	app.References = []nix.StorePath{storePath("lib-a"), storePath("lib-b")}
	two.Paths[app.Path] = app
	l := (&History{}).With(one).With(two)
	if closure, ok := l.Closure([]nix.StorePath{app.Path}); !ok || len(closure.Paths) != 3 {
		t.Errorf("got %v, %v", closure, ok)
	}
	if l = l.With(one); len(l.snapshots) != 2 {
		t.Errorf("%d snapshots", len(l.snapshots))
	}
	if _, ok := l.Closure([]nix.StorePath{storePath("unknown")}); ok {
		t.Error("an unknown root has a closure")
	}
	delete(one.Paths, storePath("lib-a"))
	if _, ok := (&History{}).With(one).Closure([]nix.StorePath{storePath("app-a")}); ok {
		t.Error("a closure lacks a path")
	}
}

func TestNothingNew(t *testing.T) {
	l := (&History{}).With(snapshot("a"))
	part := NewSnapshot()
	part.Inspected["a"] = snapshot("a").Inspected["a"]
	other := snapshot("a")
	other.Inspected["a"] = time.Unix(7, 0)
	for name, test := range map[string]struct {
		snapshot Snapshot
		knows    bool
	}{
		"the same": {snapshot("a"), true}, "a part": {part, true}, "empty": {NewSnapshot(), true},
		"other": {snapshot("b"), false}, "changed": {other, false},
	} {
		if got := l.contains(test.snapshot); got != test.knows {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAddClosure(t *testing.T) {
	p := NewSnapshot()
	want := snapshot("a")
	closure, err := nix.NewClosure([]nix.StorePath{storePath("app-a")},
		[]nix.PathInfo{want.Paths[storePath("app-a")], want.Paths[storePath("lib-a")]})
	if err != nil {
		t.Fatal(err)
	}
	p.AddClosure(closure)
	if got, ok := (&History{}).With(p).Closure(closure.Roots); !ok || len(got.Paths) != 2 {
		t.Errorf("got %v", got)
	}
}

// fileOf is a well-formed file around any JSON.
func fileOf(format, text string) []byte {
	var body bytes.Buffer
	zip := gzip.NewWriter(&body)
	_, _ = zip.Write([]byte(text))
	_ = zip.Close()
	return fmt.Appendf(nil, "%s%s %s\n%s", magic, format, DigestOf(body.Bytes()), body.Bytes())
}

func TestDecodeRefuses(t *testing.T) {
	good, path := hashOf("x").String(), string(storePath("a"))
	layer := func(key, diffID, digest, size string) string {
		return fmt.Sprintf(`{"snapshots":[{"layers":{%q:{"diffID":%q,"digest":%q,"size":%s}}}]}`, key, diffID, digest, size)
	}
	onePath := func(path, rest string) string { return fmt.Sprintf(`{"snapshots":[{"paths":{%q:{%s}}}]}`, path, rest) }
	for name, file := range map[string][]byte{
		"empty":              nil,
		"no line":            []byte(magic),
		"other magic":        []byte("hello\n"),
		"other digest":       bytes.Replace(fileOf("3", "{}"), []byte("sha256:"), []byte("sha256:0"), 1),
		"not gzip":           fmt.Appendf(nil, "%s3 %s\nplain", magic, DigestOf([]byte("plain"))),
		"not JSON":           fileOf("3", "hello"),
		"two values":         fileOf("3", "{} {}"),
		"unknown field":      fileOf("3", `{"snapshots":[],"more":1}`),
		"layer key":          fileOf("3", layer("key", good, good, "1")),
		"upper-case key":     fileOf("3", layer(strings.Repeat("A", 64), good, good, "1")),
		"layer diffID":       fileOf("3", layer(hashOf("k").Hex, "sha256:12", good, "1")),
		"layer sha512":       fileOf("3", layer(hashOf("k").Hex, good, "sha512:"+strings.Repeat("0", 128), "1")),
		"layer without":      fileOf("3", fmt.Sprintf(`{"snapshots":[{"layers":{%q:{"size":1}}}]}`, hashOf("k").Hex)),
		"layer size":         fileOf("3", layer(hashOf("k").Hex, good, good, "-1")),
		"path":               fileOf("3", onePath("/etc/passwd", `"narHash":"`+good+`"`)),
		"path in path":       fileOf("3", onePath(path+"/../x", `"narHash":"`+good+`"`)),
		"path without hash":  fileOf("3", onePath(path, `"narSize":1`)),
		"path size":          fileOf("3", onePath(path, `"narSize":-1,"narHash":"`+good+`"`)),
		"path reference":     fileOf("3", onePath(path, `"narHash":"`+good+`","references":["x"]`)),
		"references twice":   fileOf("3", onePath(path, fmt.Sprintf(`"narHash":%q,"references":[%q,%q]`, good, path, path))),
		"references unorder": fileOf("3", onePath(path, fmt.Sprintf(`"narHash":%q,"references":[%q,%q]`, good, path+"b", path+"a"))),
		"inspection key":     fileOf("3", `{"snapshots":[{"inspected":{"":1}}]}`),
		"root key":           fileOf("3", fmt.Sprintf(`{"snapshots":[{"roots":{"":[{"name":"a","path":%q}]}}]}`, path)),
		"root path":          fileOf("3", `{"snapshots":[{"roots":{"k":[{"name":"a","path":"/etc"}]}}]}`),
		"long key":           fileOf("3", fmt.Sprintf(`{"snapshots":[{"inspected":{%q:1}}]}`, strings.Repeat("k", maxKey+1))),
		"images":             fileOf("3", `{"snapshots":[{"images":{}}]}`),
		"too long":           append(fileOf("3", "{}"), make([]byte, maxEncoded)...),
	} {
		if l, err := decodeFile(t, file); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("%s: got %v, %v", name, l, err)
		}
	}
	if _, err := decodeFile(t, fileOf("other", "{}")); !errors.Is(err, ErrNotFound) {
		t.Errorf("another format: %v", err)
	}
	if l, err := decodeFile(t, fileOf("3", "{}")); err != nil || !l.Empty() {
		t.Errorf("an empty history: %v, %v", l, err)
	}
}

// A history that would not be read is not written: its oldest snapshots are left out.
func TestEncodeFits(t *testing.T) {
	big := NewSnapshot()
	for n := range 1000 {
		key := hashOf(fmt.Sprint(n))
		big.Layers[layers.Key(key.Hex)] = layers.Record{DiffID: hashOf(key.Hex), Digest: hashOf("b" + key.Hex), Size: 1}
	}
	l := (&History{}).With(big).With(snapshot("a"))
	if whole := encode(t, l); len(whole) < 100_000 {
		t.Fatalf("the whole history has only %d bytes", len(whole))
	}
	file, err := l.encode(Key{}, "", 100_000, maxEntries)
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
	text := `{"snapshots":[]` + strings.Repeat(" ", 10_000) + "}"
	_, body, _ := bytes.Cut(fileOf("3", text), []byte("\n"))
	for _, limit := range []int64{5, 10_000, int64(len(text)) - 1} {
		if _, err := decodeSnapshots(t.Context(), body, limits{limit, maxEntries}); err == nil {
			t.Errorf("%d bytes were decoded within %d", len(text), limit)
		}
	}
	if _, err := decodeSnapshots(t.Context(), body, limits{int64(len(text)), maxEntries}); err != nil {
		t.Error(err)
	}
}

// A real one is kilobytes.
func TestHistoryIsSmall(t *testing.T) {
	p := NewSnapshot()
	for n := range 150 {
		path := storePath(fmt.Sprint("package-", n))
		p.Paths[path] = nix.PathInfo{Path: path, NarHash: hashOf(string(path)), NarSize: 1 << 20}
		p.Layers[layers.Key(hashOf(fmt.Sprint(n)).Hex)] = layers.Record{DiffID: hashOf(fmt.Sprint("t", n)), Digest: hashOf(fmt.Sprint("b", n)), Size: 1 << 20}
	}
	if size := len(encode(t, (&History{}).With(p))); size > 40<<10 {
		t.Errorf("150 paths and layers are %d bytes", size)
	}
}

func TestScopeNames(t *testing.T) {
	ids := []Identity{
		{}, {Spec: "a"}, {Image: "a"}, {Platform: "a"}, {Spec: "a", Image: "b"}, {Spec: "ab"}, {Spec: "a", Platform: "b"}, {Spec: "b", Image: "a"},
	}
	seen := map[Scope]bool{}
	for _, id := range ids {
		for _, scope := range []string{"", "a", "b"} {
			scope := id.Scope(scope)
			if seen[scope] || len(scope) != len(ScopePrefix)+40 || (Name{scope, 1}).Check() != nil {
				t.Errorf("scope of %v in %q is %s", id, scope, scope)
			}
			seen[scope] = true
		}
	}
	// A change of these is a change of lanePrefix: older entries would be looked for in vain, and never pruned.
	if got := (Identity{"nixery.yaml", "box", "linux/arm64"}).Scope("x"); got != "nixery1-509cf07232ce732430db835ca5958ea98686241c" {
		t.Errorf("a scope has become %s", got)
	}
}

// checkDecoded wants what was accepted to be written and read again unchanged, and no more memory to be used than most.
func checkDecoded(t *testing.T, most uint64, file []byte) {
	t.Helper()
	var l *History
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
