package cache

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
)

// These helpers are also in cachetest, which tests of this package cannot import.

func hashOf(text string) v1.Hash {
	hash, _, _ := v1.SHA256(strings.NewReader(text)) // a string cannot fail
	return hash
}

func storePath(name string) nix.StorePath {
	return nix.StorePath(nix.StoreDir + "/" + strings.Repeat("0", 32) + "-" + name)
}

// snapshot is a snapshot with one layer, and a closure of two paths.
func snapshot(name string) Snapshot {
	p := NewSnapshot()
	p.Layers[layers.Key(hashOf(name).Hex)] = layers.Record{DiffID: hashOf(name + " tar"), Digest: hashOf(name + " blob"), Size: int64(len(name))}
	lib, app := storePath("lib-"+name), storePath("app-"+name)
	p.Paths[lib] = nix.PathInfo{Path: lib, NarHash: hashOf("lib"), NarSize: 1}
	p.Paths[app] = nix.PathInfo{Path: app, NarHash: hashOf("app"), NarSize: 2, References: []nix.StorePath{lib}}
	p.Inspected[name] = time.Unix(1, 0).UTC()
	p.Roots[name] = []Root{{Name: "app", Path: app}, {Name: "lib", Path: lib}}
	return p
}

// checkKnows wants all that the snapshots of these names say.
func checkKnows(t *testing.T, l *History, names ...string) {
	t.Helper()
	for _, name := range names {
		want := snapshot(name)
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
		closure, ok := l.Closure([]nix.StorePath{storePath("app-" + name)})
		if !ok || len(closure.Paths) != 2 {
			t.Errorf("closure of snapshot %s is %v, %v", name, closure, ok)
		}
	}
}

func scope(letter string) Scope {
	return Identity{Spec: "nixery.yaml", Image: letter}.Scope("")
}

// pattern is an endless stream of bytes, in which no two blocks are equal.
type pattern struct {
	at   uint64
	line [1024]byte
}

func (p *pattern) Read(b []byte) (int, error) {
	binary.BigEndian.PutUint64(p.line[:], p.at/1024)
	n := copy(b, p.line[p.at%1024:])
	p.at += uint64(n)
	return n, nil
}

// lookAlikes are names that others may have given, and that must never be taken for ours.
func lookAlikes() []string {
	ours := Name{Scope: scope("a"), Serial: 1}.String()
	return []string{
		"", "npm-linux", "nixery1-", string(scope("a")), string(scope("a")) + "-1", ours + "0", "x" + ours, ours + "-x", strings.ToUpper(ours),
		"nixery1-" + "go-00000001", "nixery1-" + "blob-" + strings.Repeat("a", 63) + "-00000001", ours + "\n", ours + " ",
		"nixery2" + strings.TrimPrefix(ours, "nixery1"), "nixery1-" + strings.Repeat("g", 40) + "-00000001",
	}
}

// day is so many days after some day.
func day(n int) time.Time { return time.Unix(1_700_000_000, 0).AddDate(0, 0, n).UTC() }

var testIdentity = Identity{Spec: "nixery.yaml", Image: "box", Platform: "linux/arm64"}

const (
	testToken = "secret-runtime-token"
	testSig   = "secret-signature"
)
