package cachetest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
)

// TestCache reads and writes one store, with blobs, and keeps its log.
type TestCache struct {
	*cache.Cache
	Log *bytes.Buffer
}

func NewTestCache(stores ...cache.Store) *TestCache {
	var places []cache.Place
	for _, s := range stores {
		places = append(places, cache.Place{Store: s, Mode: cache.Max})
	}
	log := &bytes.Buffer{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	return &TestCache{cache.New(places, places, logger), log}
}

func (c *TestCache) lines() []string {
	return strings.FieldsFunc(c.Log.String(), func(r rune) bool { return r == '\n' })
}

// CheckLog wants one line for each part, in order, and no secret in any.
func (c *TestCache) CheckLog(t *testing.T, parts ...string) {
	t.Helper()
	lines := c.lines()
	if len(lines) != len(parts) || len(c.Problems()) != len(parts) {
		t.Fatalf("the log has %d lines, and there are %d problems; want %d:\n%s", len(lines), len(c.Problems()), len(parts), c.Log)
	}
	for i, part := range parts {
		if !strings.Contains(lines[i], part) {
			t.Errorf("line %q does not have %q", lines[i], part)
		}
	}
	for _, secret := range []string{TestToken, TestSig} {
		if strings.Contains(c.Log.String(), secret) {
			t.Errorf("a secret is in the log:\n%s", c.Log)
		}
	}
}

func HashOf(text string) v1.Hash {
	hash, _, _ := v1.SHA256(strings.NewReader(text)) // a string cannot fail
	return hash
}

func StorePath(name string) nix.StorePath {
	return nix.StorePath(nix.StoreDir + "/" + strings.Repeat("0", 32) + "-" + name)
}

// NewTestSnapshot is a snapshot with one layer, and a closure of two paths.
func NewTestSnapshot(name string) cache.Snapshot {
	p := cache.NewSnapshot()
	p.Layers[layers.Key(HashOf(name).Hex)] = layers.Record{DiffID: HashOf(name + " tar"), Digest: HashOf(name + " blob"), Size: int64(len(name))}
	lib, app := StorePath("lib-"+name), StorePath("app-"+name)
	p.Paths[lib] = nix.PathInfo{Path: lib, NarHash: HashOf("lib"), NarSize: 1}
	p.Paths[app] = nix.PathInfo{Path: app, NarHash: HashOf("app"), NarSize: 2, References: []nix.StorePath{lib}}
	p.Inspected[name] = time.Unix(1, 0).UTC()
	p.Roots[name] = []cache.Root{{Name: "app", Path: app}, {Name: "lib", Path: lib}}
	return p
}

// CheckKnows wants all that the snapshots of these names say.
func CheckKnows(t *testing.T, l *cache.History, names ...string) {
	t.Helper()
	for _, name := range names {
		want := NewTestSnapshot(name)
		for key, record := range want.Layers {
			if got, ok := l.Layer(key); !ok || got != record {
				t.Errorf("layer of snapshot %s is %v, %v", name, got, ok)
			}
		}
		if got, ok := l.Roots(name); !ok || !slices.Equal(got, want.Roots[name]) {
			t.Errorf("roots of snapshot %s are %v, %v", name, got, ok)
		}
		if got, ok := l.Inspected(name); !ok || !got.Equal(want.Inspected[name]) {
			t.Errorf("inspection of snapshot %s is of %v, %v", name, got, ok)
		}
		closure, ok := l.Closure([]nix.StorePath{StorePath("app-" + name)})
		if !ok || len(closure.Paths) != 2 {
			t.Errorf("closure of snapshot %s is %v, %v", name, closure, ok)
		}
	}
}

var TestIdentity = cache.Identity{Spec: "nixery.yaml", Image: "box", Platform: "linux/arm64"}

func BlobContent(name string, n int) string { return strings.Repeat(fmt.Sprint(name, n), 1000) }

// Use does what a build does: it reads a history and a blob, and saves three blobs and a snapshot. It must never see anything false.
func Use(t *testing.T, c *TestCache, old, name string) {
	t.Helper()
	if l := c.Open(t.Context(), TestIdentity); !l.Empty() {
		CheckKnows(t, l, old)
	}
	want := BlobContent(old, 0)
	if blob, err := c.Blob(t.Context(), HashOf(want), int64(len(want))); err == nil {
		got, err := io.ReadAll(blob)
		if err == nil && string(got) != want {
			t.Error("a blob has wrong bytes")
		}
		_ = blob.Close()
	} else if !errors.Is(err, cache.ErrNotFound) {
		t.Error(err)
	}
	for n := range 3 {
		content := BlobContent(name, n)
		c.SaveBlob(t.Context(), HashOf(content), int64(len(content)), Opener(content))
	}
	c.Save(t.Context(), TestIdentity, NewTestSnapshot(name))
}

func Scope(letter string) cache.Scope {
	return cache.Identity{Spec: "nixery.yaml", Image: letter}.Scope("")
}

func Opener(content string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }
}

func Save(t *testing.T, s cache.Store, name cache.Name, content string) {
	t.Helper()
	if err := s.Save(t.Context(), name, int64(len(content)), Opener(content)); err != nil {
		t.Fatalf("saving %s: %v", name, err)
	}
}

func CheckNewest(t *testing.T, s cache.Store, want cache.Name, content string) {
	t.Helper()
	e, err := s.Newest(t.Context(), want.Scope)
	if err != nil || e.Name != want {
		t.Fatalf("found %v, %v; want %v", e.Name, err, want)
	}
	if e.Size >= 0 && e.Size != int64(len(content)) {
		t.Errorf("%s is said to be of %d bytes, want %d", want, e.Size, len(content))
	}
	if got := read(t, e); got != content {
		t.Errorf("%s holds %.50q, want %.50q", want, got, content)
	}
}

func read(t *testing.T, e cache.Entry) string {
	t.Helper()
	r, err := e.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func CheckBlob(t *testing.T, c *TestCache, content string) {
	t.Helper()
	blob, err := c.Blob(t.Context(), HashOf(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(blob)
	if err := errors.Join(err, blob.Close()); err != nil || string(got) != content {
		t.Errorf("got %d bytes: %v", len(got), err)
	}
}

// Pattern is an endless stream of bytes, in which no two blocks are equal.
type Pattern struct {
	at   uint64
	line [1024]byte
}

func (p *Pattern) Read(b []byte) (int, error) {
	binary.BigEndian.PutUint64(p.line[:], p.at/1024)
	n := copy(b, p.line[p.at%1024:])
	p.at += uint64(n)
	return n, nil
}

func Allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}

// LookAlikes are names that others may have given, and that must never be taken for ours.
func LookAlikes() []string {
	ours := cache.Name{Scope: Scope("a"), Serial: 1}.String()
	return []string{
		"", "npm-linux", "nixery1-", string(Scope("a")), string(Scope("a")) + "-1", ours + "0", "x" + ours, ours + "-x", strings.ToUpper(ours),
		"nixery1-" + "go-00000001", "nixery1-" + "blob-" + strings.Repeat("a", 63) + "-00000001", ours + "\n", ours + " ",
		"nixery2" + strings.TrimPrefix(ours, "nixery1"), "nixery1-" + strings.Repeat("g", 40) + "-00000001",
	}
}

// Day is so many days after some day.
func Day(n int) time.Time { return time.Unix(1_700_000_000, 0).AddDate(0, 0, n).UTC() }

func Names(all []cache.Kept) (names []string) {
	for _, entry := range all {
		names = append(names, entry.Name.String())
	}
	return names
}

// Secrets that no log may have.
const (
	TestToken = "secret-runtime-token"
	TestSig   = "secret-signature"
)
