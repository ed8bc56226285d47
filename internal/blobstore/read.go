package blobstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// checked is a stream that ends well only if it was what it should be. Without a hash, only its length is known.
type checked struct {
	io.ReadCloser
	ctx  context.Context
	key  string
	want v1.Hash
	left int64
	hash hash.Hash
	err  error // of the end
}

func newChecked(ctx context.Context, content io.ReadCloser, key string, want v1.Hash, left int64, whole bool) *checked {
	c := &checked{ReadCloser: content, ctx: ctx, key: key, want: want, left: left}
	if whole {
		c.hash = sha256.New()
	}
	return c
}

func (c *checked) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.ReadCloser.Read(p)
	c.left -= int64(n)
	if c.hash != nil {
		c.hash.Write(p[:n])
	}
	if c.left == 0 && err == nil && n > 0 && c.hash != nil {
		// A reader that knows the length stops here, and must not get the last bytes of damaged content.
		err = c.verdict()
	} else if errors.Is(err, io.EOF) {
		err = c.verdict()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		n, err = 0, storageError(c.ctx, "reading", c.key, err)
	}
	c.err = err
	return n, err
}

func (c *checked) verdict() error {
	if c.left != 0 {
		return fmt.Errorf("%d bytes are missing: %w", c.left, io.ErrUnexpectedEOF)
	}
	if c.hash == nil {
		return io.EOF
	}
	if got := hex.EncodeToString(c.hash.Sum(nil)); got != c.want.Hex {
		return fmt.Errorf("it is damaged: its digest is sha256:%s", got)
	}
	return io.EOF
}

// unknownType is what the distribution specification lets blobs be.
const unknownType = "application/octet-stream"

// maxManifest is more than registries take.
const maxManifest = 4 << 20

// mediaType returns the type that the bucket has, or where it has none, as in a directory, that in the manifest itself.
func (d *Store) mediaType(ctx context.Context, key, known string, size int64) (string, error) {
	if known != "" && known != unknownType {
		return known, nil
	}
	if size > maxManifest {
		return unknownType, nil
	}
	content, err := d.bucket.NewReader(ctx, key, nil)
	if err != nil {
		return "", storageError(ctx, "reading", key, err)
	}
	defer content.Close()
	first := make([]byte, 1)
	if _, err := io.ReadFull(content, first); errors.Is(err, io.EOF) || err == nil && first[0] != '{' {
		return unknownType, nil
	} else if err != nil {
		return "", storageError(ctx, "reading", key, err)
	}
	raw, err := io.ReadAll(io.LimitReader(content, maxManifest))
	if err != nil {
		return "", storageError(ctx, "reading", key, err)
	}
	return mediaTypeField(append(first, raw...)), nil
}

func mediaTypeField(raw []byte) string {
	var manifest struct {
		MediaType string `json:"mediaType"`
	}
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&manifest); err != nil || manifest.MediaType == "" {
		return unknownType
	}
	return manifest.MediaType
}

// Tag is what a name stood for when it was last built.
type Tag struct {
	Key     string             `json:"key"`
	Digests map[string]v1.Hash `json:"digests"` // by variant, in the words of the caller
	Made    time.Time          `json:"made"`
	Source  string             `json:"source"` // of the packages, pinned
	Fixed   bool               `json:"fixed"`  // the name can never stand for anything else
}

// maxTag bounds what is read of a tag's file.
const maxTag = 64 << 10

// Tag reads a tag. [ErrNotFound] if it was never set, or is damaged: the next build sets it again. [*StorageError] if the bucket does not
// tell.
func (d *Store) Tag(ctx context.Context, key string) (Tag, error) {
	at := tagKey(key)
	content, err := d.bucket.NewReader(ctx, at, nil)
	if err != nil {
		return Tag{}, storageError(ctx, "reading", at, err)
	}
	defer content.Close()
	raw, err := io.ReadAll(io.LimitReader(content, maxTag))
	if err != nil {
		return Tag{}, storageError(ctx, "reading", at, err)
	}
	var t Tag
	err = json.Unmarshal(raw, &t)
	if err == nil && t.Key != key {
		err = fmt.Errorf("it is the tag %.300q", t.Key)
	}
	if err != nil {
		d.Log.Warn("a stored tag is damaged, and is ignored", "key", at, "cause", err)
		return Tag{}, fmt.Errorf("%s: %w", at, ErrNotFound)
	}
	return t, nil
}

// SetTag sets or moves a tag; the digests must have been stored before. A concurrent reader sees the old tag or the new one.
func (d *Store) SetTag(ctx context.Context, key string, t Tag) error {
	t.Key = key
	raw, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("encoding tag %q: %w", key, err)
	}
	s, err := d.writeTemp(ctx, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	defer s.discard()
	return storageError(ctx, "writing", tagKey(key), d.commit(ctx, tagKey(key), "application/json", s.File, true))
}
