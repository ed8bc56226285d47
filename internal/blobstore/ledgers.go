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
func (d *Depot) Cache() cache.Store { return ledgers{d} }

// ledgers keeps entries under cache/<lane>/<serial>.
type ledgers struct{ depot *Depot }

func (l ledgers) String() string { return "the cache in " + l.depot.name }

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
func (l ledgers) Newest(ctx context.Context, lane cache.Scope) (cache.Entry, error) {
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
func (l ledgers) last(ctx context.Context, lane cache.Scope) (*cache.Entry, error) {
	prefix, err := laneKey(lane)
	if err != nil {
		return nil, err
	}
	var newest *cache.Entry
	objects := l.depot.bucket.List(&blob.ListOptions{Prefix: prefix})
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

func (l ledgers) opener(key string) func(context.Context) (io.ReadCloser, error) {
	return func(ctx context.Context) (io.ReadCloser, error) {
		content, err := l.depot.bucket.NewReader(ctx, key, nil)
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
func (l ledgers) Save(ctx context.Context, name cache.Name, size int64, open func() (io.ReadCloser, error)) error {
	err := l.save(ctx, name, size, open)
	if err == nil && name.Serial > kept {
		old, _ := entryKey(cache.Name{Scope: name.Scope, Serial: name.Serial - kept})
		_ = l.depot.bucket.Delete(ctx, old) // most often there, and of no use to anybody
	}
	if err == nil || errors.Is(err, cache.ErrExists) {
		return err
	}
	return l.failed(ctx, "saving an entry", err)
}

func (l ledgers) save(ctx context.Context, name cache.Name, size int64, open func() (io.ReadCloser, error)) error {
	key, err := entryKey(name)
	if err != nil {
		return err
	}
	if there, err := l.depot.bucket.Exists(ctx, key); err != nil || there {
		return errors.Join(err, existing(there))
	}
	content, err := open()
	if err != nil {
		return fmt.Errorf("opening content: %w", err)
	}
	defer content.Close()
	s, err := l.depot.gather(ctx, io.LimitReader(content, size+1))
	if err != nil {
		return err
	}
	defer s.drop()
	if s.size != size {
		return fmt.Errorf("the content is not of %d bytes, as was said", size)
	}
	err = l.depot.place(ctx, key, unknownType, s.File, false)
	if errors.Is(err, errTaken) {
		return cache.ErrExists
	}
	return err
}

func existing(there bool) error {
	if there {
		return cache.ErrExists
	}
	return nil
}

// failed makes a fault the cache's, unless the context has ended.
func (l ledgers) failed(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return &cache.StoreError{Store: l.String(), Op: op, Err: err}
}
