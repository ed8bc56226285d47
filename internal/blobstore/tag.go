package blobstore

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Tag is what a name stood for when it was last built.
type Tag struct {
	Key     string             `json:"key"`
	Digests map[string]v1.Hash `json:"digests"` // by variant, in the words of who sets it
	Made    time.Time          `json:"made"`
	Source  string             `json:"source"` // of the packages, pinned
	Fixed   bool               `json:"fixed"`  // the name can never stand for anything else
}

// maxTag bounds what is read of a tag's file.
const maxTag = 64 << 10

// Tag reads a tag. [ErrNotFound] if it was never set, or is damaged: who builds it again mends it. [*StorageError] if the bucket does not
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
		d.Log.Warn("a tag in the depot was damaged, and is as if it were not there", "key", at, "cause", err)
		return Tag{}, fmt.Errorf("%s: %w", at, ErrNotFound)
	}
	return t, nil
}

// SetTag sets or moves a tag; the digests must have been stored before. Who reads at the same time sees the old tag or the new one.
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
