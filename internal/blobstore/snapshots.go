package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/org/nixery-action/internal/cache"
)

// Cache is a cache in the same bucket: what was learnt stays when the process ends, and other processes learn it too. All calls return
// the same store.
func (d *Store) Cache() cache.Store { return snapshots{d} }

// snapshots keeps entries under cache/<lane>/<serial>.
type snapshots struct{ store *Store }

func (l snapshots) String() string { return "the cache in " + l.store.name }

var laneForm = regexp.MustCompile(`^[a-z0-9](-?[a-z0-9])*$`)

func laneKey(lane cache.Scope) (string, error) {
	if len(lane) > 128 || !laneForm.MatchString(string(lane)) {
		return "", fmt.Errorf("%.200q cannot be a lane", string(lane))
	}
	return "cache/" + string(lane) + "/", nil
}

func entryKey(name cache.Name) (string, error) {
	lane, err := laneKey(name.Scope)
	return fmt.Sprintf("%s%08x", lane, name.Serial), err
}

// Newest implements [cache.Store].
func (l snapshots) Newest(ctx context.Context, lane cache.Scope) (cache.Entry, error) {
	if ctx.Err() != nil {
		return cache.Entry{}, context.Cause(ctx)
	}
	newest, err := l.last(ctx, lane)
	if err != nil {
		return cache.Entry{}, l.failed(ctx, "looking for an entry", err)
	}
	if newest == nil {
		return cache.Entry{}, cache.ErrNotFound
	}
	return *newest, nil
}

// last is the entry of the highest serial, or nil. Buckets list in the order of names.
func (l snapshots) last(ctx context.Context, lane cache.Scope) (*cache.Entry, error) {
	prefix, err := laneKey(lane)
	if err != nil {
		return nil, err
	}
	var newest *cache.Entry
	objects := l.store.bucket.List(&blob.ListOptions{Prefix: prefix})
	for {
		object, err := objects.Next(ctx)
		if errors.Is(err, io.EOF) {
			return newest, nil
		}
		if err != nil {
			return nil, err
		}
		digits := strings.TrimPrefix(object.Key, prefix)
		serial, err := strconv.ParseUint(digits, 16, 32)
		if err != nil || len(digits) != 8 {
			continue
		}
		newest = &cache.Entry{Name: cache.Name{Scope: lane, Serial: uint32(serial)}, Size: object.Size, Open: l.opener(object.Key)}
	}
}

func (l snapshots) opener(key string) func(context.Context) (io.ReadCloser, error) {
	return func(ctx context.Context) (io.ReadCloser, error) {
		content, err := l.store.bucket.NewReader(ctx, key, nil)
		if gcerrors.Code(err) == gcerrors.NotFound {
			return nil, cache.ErrNotFound
		}
		if err != nil {
			return nil, l.failed(ctx, "reading an entry", err)
		}
		return content, nil
	}
}

// kept is how many entries a lane has. Only the newest counts; those before may be read just now.
const kept = 16

// Save implements [cache.Store].
func (l snapshots) Save(ctx context.Context, name cache.Name, size int64, open func() (io.ReadCloser, error)) error {
	err := l.save(ctx, name, size, open)
	if err == nil && name.Serial > kept {
		old, _ := entryKey(cache.Name{Scope: name.Scope, Serial: name.Serial - kept})
		_ = l.store.bucket.Delete(ctx, old) // an old entry that stays does no harm
	}
	if err == nil || errors.Is(err, cache.ErrExists) {
		return err
	}
	return l.failed(ctx, "saving an entry", err)
}

func (l snapshots) save(ctx context.Context, name cache.Name, size int64, open func() (io.ReadCloser, error)) error {
	key, err := entryKey(name)
	if err != nil {
		return err
	}
	if exists, err := l.store.bucket.Exists(ctx, key); err != nil {
		return err
	} else if exists {
		return cache.ErrExists
	}
	content, err := open()
	if err != nil {
		return fmt.Errorf("opening content: %w", err)
	}
	defer content.Close()
	s, err := l.store.writeTemp(ctx, io.LimitReader(content, size+1))
	if err != nil {
		return err
	}
	defer s.discard()
	if s.size != size {
		return fmt.Errorf("the content is not of %d bytes, as was said", size)
	}
	err = l.store.commit(ctx, key, unknownType, s.File, false)
	if errors.Is(err, errTaken) {
		return cache.ErrExists
	}
	return err
}

// failed makes a fault the cache's, unless the context has ended.
func (l snapshots) failed(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return &cache.StoreError{Store: l.String(), Op: op, Err: err}
}
