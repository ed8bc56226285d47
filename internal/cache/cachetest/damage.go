package cachetest

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/org/nixery-action/internal/cache"
)

func damageSeen(t *testing.T, s Site) {
	damaged(t, s, func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
}

func cutSeen(t *testing.T, s Site) {
	damaged(t, s, func(b []byte) []byte { return b[:len(b)-1] })
}

// damaged wants a history that was changed to count for nothing, with one warning, and to be replaced by the next.
func damaged(t *testing.T, s Site, change func([]byte) []byte) {
	id := cache.Identity{Spec: "nixery.yaml", Image: "box"}
	first := NewTestCache(s.Open())
	first.Save(t.Context(), id, NewTestSnapshot("a"))
	first.CheckLog(t)
	s.Tamper(cache.Name{Scope: id.Scope(""), Serial: 1}.String(), change)
	second := NewTestCache(s.Open())
	if !second.Open(t.Context(), id).Empty() {
		t.Error("a damaged history was trusted")
	}
	second.CheckLog(t, "damaged")
	second.Save(t.Context(), id, NewTestSnapshot("b"))
	s.Tamper(cache.Name{Scope: id.Scope(""), Serial: 2}.String(), func(b []byte) []byte { return b })
	CheckKnows(t, NewTestCache(s.Open()).Open(t.Context(), id), "b")
}

// nothingLost lets two runs begin from one history, and end one after the other.
func nothingLost(t *testing.T, s Site) {
	id := cache.Identity{Spec: "nixery.yaml", Image: "box"}
	NewTestCache(s.Open()).Save(t.Context(), id, NewTestSnapshot("a"))
	one, two := NewTestCache(s.Open()), NewTestCache(s.Open())
	one.Open(t.Context(), id)
	two.Open(t.Context(), id)
	one.Save(t.Context(), id, NewTestSnapshot("b"))
	two.Save(t.Context(), id, NewTestSnapshot("c"))
	CheckKnows(t, NewTestCache(s.Open()).Open(t.Context(), id), "a", "b", "c")
}

func damagedBlob(t *testing.T, s Site) {
	content := strings.Repeat("layer", 1000)
	digest, size := HashOf(content), int64(len(content))
	NewTestCache(s.Open()).SaveBlob(t.Context(), digest, size, Opener(content))
	s.Tamper(cache.Name{Scope: cache.BlobScope(digest), Serial: 1}.String(), func(b []byte) []byte { b[0] ^= 1; return b })
	c := NewTestCache(s.Open())
	for range 2 { // a blob that is damaged is opened once, and not again
		blob, err := c.Blob(t.Context(), digest, size)
		if errors.Is(err, cache.ErrNotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, blob)
		var fault *cache.StoreError
		if err := errors.Join(err, blob.Close()); !errors.As(err, &fault) || fault.Kind != cache.Damaged {
			t.Errorf("error is %v", err)
		}
	}
	if _, err := c.Blob(t.Context(), digest, size); !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("after damage: %v", err)
	}
	c.CheckLog(t, "damaged")
	s.Tamper(cache.Name{Scope: cache.BlobScope(digest), Serial: 1}.String(), func(b []byte) []byte { return b })
	c.SaveBlob(t.Context(), digest, size, Opener(content))
	CheckBlob(t, NewTestCache(s.Open()), content)
}
