package cachetest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/layers"
)

var (
	image      = cache.Identity{Spec: "nixery.yaml", Image: "box", Platform: "linux/amd64"}
	otherImage = cache.Identity{Spec: "nixery.yaml", Image: "tool", Platform: "linux/amd64"}
	layerKey   = layers.Key(strings.Repeat("a", 64))
	genuine    = layers.Record{DiffID: hash("1"), Digest: hash("2"), Size: 3}
	foreign    = layers.Record{DiffID: hash("e"), Digest: hash("f"), Size: 3}
)

func hash(digit string) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: strings.Repeat(digit, 64)}
}

func newKey(t *testing.T, secret, repository string) cache.Key {
	t.Helper()
	key, err := cache.NewKey(secret, repository)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

const secret = "correct horse battery staple"

// jobOf is a job that reads and writes a site with a key, if it is not zero.
func jobOf(s Site, key cache.Key, scope string) *cache.Cache {
	places := []cache.Place{{Store: s.Open(), Scope: scope}}
	return cache.New(places, places, slog.New(slog.DiscardHandler)).WithKey(key)
}

func learn(t *testing.T, c *cache.Cache, id cache.Identity, record layers.Record) {
	t.Helper()
	snapshot := cache.NewSnapshot()
	snapshot.Layers[layerKey] = record
	c.Save(t.Context(), id, snapshot)
}

// forgedHistory has an attacker, who may write the store and has not the key, bring a foreign layer into it by every means.
func forgedHistory(t *testing.T, s Site) {
	key := newKey(t, secret, "acme/box")
	learn(t, jobOf(s, key, ""), image, genuine)
	learn(t, jobOf(s, key, ""), otherImage, foreign)
	learn(t, jobOf(s, key, "scope"), image, foreign)
	marked := newest(t, s, image.Scope(""))
	for title, forge := range map[string]func(){
		"without a mark":        func() { learn(t, jobOf(s, cache.Key{}, ""), image, foreign) },
		"with another key":      func() { learn(t, jobOf(s, newKey(t, "another secret of theirs", "acme/box"), ""), image, foreign) },
		"of another repository": func() { learn(t, jobOf(s, newKey(t, secret, "acme/fork"), ""), image, foreign) },
		"of another image":      func() { put(t, s, newest(t, s, otherImage.Scope(""))) },
		"of another scope":      func() { put(t, s, newest(t, s, image.Scope("scope"))) },
		"with an old mark": func() {
			learn(t, jobOf(s, cache.Key{}, ""), image, foreign)
			put(t, s, withMarkOf(t, newest(t, s, image.Scope("")), marked))
		},
		"with a cut mark": func() { put(t, s, bytes.Replace(marked, []byte("hmac-sha256:"), []byte("hmac-sha256:0"), 1)) },
		"with an old format": func() {
			put(t, s, bytes.Replace(marked, []byte("ledger 3 "), []byte("ledger 2 "), 1))
		},
	} {
		forge()
		c := jobOf(s, key, "")
		if record, ok := c.Open(t.Context(), image).Layer(layerKey); ok {
			t.Errorf("a history %s is trusted: %v", title, record)
		}
		checkWarning(t, title, c)
		learn(t, c, image, genuine)
		if record, ok := jobOf(s, key, "").Open(t.Context(), image).Layer(layerKey); !ok || record != genuine {
			t.Errorf("after a history %s the rebuilt record is not kept: %v", title, record)
		}
	}
	// Without a key marks are not looked at.
	if record, ok := jobOf(s, cache.Key{}, "").Open(t.Context(), image).Layer(layerKey); !ok || record != genuine {
		t.Errorf("without a key a marked history says %v", record)
	}
}

// checkWarning wants one fault, of the mark, whatever was read how often. A history of another format is none of ours.
func checkWarning(t *testing.T, title string, c *cache.Cache) {
	t.Helper()
	c.Open(t.Context(), image)
	problems := c.Problems()
	if title == "with an old format" {
		if len(problems) != 0 {
			t.Errorf("%s: faults %v", title, problems)
		}
		return
	}
	var fault *cache.StoreError
	if len(problems) != 1 || !errors.As(problems[0], &fault) || fault.Kind != cache.Unmarked {
		t.Errorf("%s: faults %v", title, problems)
	}
}

func newest(t *testing.T, s Site, l cache.Scope) []byte {
	t.Helper()
	found, err := s.Open().Newest(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	content, err := found.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	file, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// put saves a file as the newest entry of the image's scope.
func put(t *testing.T, s Site, file []byte) {
	t.Helper()
	found, err := s.Open().Newest(t.Context(), image.Scope(""))
	if err != nil {
		t.Fatal(err)
	}
	Save(t, s.Open(), cache.Name{Scope: image.Scope(""), Serial: found.Name.Serial + 1}, string(file))
}

// withMarkOf is a history with its own digest, and with the mark of another.
func withMarkOf(t *testing.T, file, marked []byte) []byte {
	t.Helper()
	_, body, _ := bytes.Cut(file, []byte("\n"))
	line, _, _ := bytes.Cut(marked, []byte("\n"))
	words := bytes.Fields(line)
	if len(words) != 5 {
		t.Fatalf("the line is %q", line)
	}
	words[3] = fmt.Appendf(nil, "sha256:%x", sha256.Sum256(body))
	return append(append(bytes.Join(words, []byte(" ")), '\n'), body...)
}
