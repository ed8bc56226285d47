package blobstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"

	"github.com/org/nixery-action/internal/publish"
)

// flaky is a bucket in memory, of which one call fails: the fails-th.
type flaky struct {
	driver.Bucket // what is not called is nil
	mu            sync.Mutex
	objects       map[string]object
	calls, fails  int
}

type object struct {
	contentType string
	content     []byte
}

var (
	errAbsent = errors.New("no such object")
	errTaken1 = errors.New("there is such an object")
	errFlaky  = errors.New("the bucket is on strike")
)

// call counts.
func (f *flaky) call() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.calls == f.fails {
		return errFlaky
	}
	return nil
}

func (f *flaky) get(key string) (object, error) {
	if err := f.call(); err != nil {
		return object{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	o, ok := f.objects[key]
	if !ok {
		return o, errAbsent
	}
	return o, nil
}

func (f *flaky) ErrorCode(err error) gcerrors.ErrorCode {
	switch err {
	case errAbsent:
		return gcerrors.NotFound
	case errTaken1:
		return gcerrors.FailedPrecondition
	}
	return gcerrors.Unknown
}

func (f *flaky) Close() error                                                { return nil }
func (f *flaky) As(any) bool                                                 { return false }
func (f *flaky) ErrorAs(error, any) bool                                     { return false }
func (f *flaky) Delete(context.Context, string, *driver.DeleteOptions) error { return f.call() }

func (f *flaky) Attributes(_ context.Context, key string) (*driver.Attributes, error) {
	o, err := f.get(key)
	if err != nil {
		return nil, err
	}
	return &driver.Attributes{ContentType: o.contentType, Size: int64(len(o.content))}, nil
}

func (f *flaky) ListPaged(_ context.Context, o *driver.ListOptions) (*driver.ListPage, error) {
	if err := f.call(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	page := &driver.ListPage{}
	for _, key := range slices.Sorted(maps.Keys(f.objects)) {
		if strings.HasPrefix(key, o.Prefix) {
			page.Objects = append(page.Objects, &driver.ListObject{Key: key, Size: int64(len(f.objects[key].content))})
		}
	}
	return page, nil
}

// reader fails in the middle, if it is its call's turn.
type reader struct {
	io.Reader
	driver.ReaderAttributes
}

func (r *reader) Attributes() *driver.ReaderAttributes { return &r.ReaderAttributes }
func (r *reader) As(any) bool                          { return false }
func (r *reader) Close() error                         { return nil }

func (f *flaky) NewRangeReader(_ context.Context, key string, offset, length int64, _ *driver.ReaderOptions) (driver.Reader, error) {
	o, err := f.get(key)
	if err != nil {
		return nil, err
	}
	content := o.content[min(offset, int64(len(o.content))):]
	if length >= 0 {
		content = content[:min(length, int64(len(content)))]
	}
	r := io.Reader(bytes.NewReader(content))
	if err := f.call(); err != nil {
		r = io.MultiReader(bytes.NewReader(content[:len(content)/2]), errReader{err})
	}
	return &reader{Reader: r, ReaderAttributes: driver.ReaderAttributes{ContentType: o.contentType, Size: int64(len(o.content))}}, nil
}

// writer fails at the end, as buckets do.
type writer struct {
	bytes.Buffer
	close func([]byte) error
}

func (w *writer) Close() error { return w.close(w.Bytes()) }

func (f *flaky) NewTypedWriter(ctx context.Context, key, contentType string, o *driver.WriterOptions) (driver.Writer, error) {
	if err := f.call(); err != nil {
		return nil, err
	}
	return &writer{close: func(content []byte) error {
		if err := errors.Join(ctx.Err(), f.call()); err != nil {
			return errFlaky
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if _, taken := f.objects[key]; taken && o.IfNotExist {
			return errTaken1
		}
		f.objects[key] = object{contentType, bytes.Clone(content)}
		return nil
	}}, nil
}

// Whichever call fails, what is there afterwards is whole, and the next try goes through.
func TestBucketThatFailsOnce(t *testing.T) {
	failures := 0
	for n := 1; ; n++ {
		f := &flaky{objects: map[string]object{}, fails: n}
		d := New(blob.NewBucket(f), Options{TempDir: t.TempDir()})
		artifact := publish.Artifact{Name: "box", Index: indexOf(imageOf(t, "amd64", &lazyLayer{content: "a"}), imageOf(t, "arm64", &lazyLayer{content: "b"}))}
		_, err := d.Destination(DestinationOptions{}).Publish(t.Context(), []publish.Artifact{artifact})
		if f.calls < n {
			break // all calls have had their turn
		}
		failures++
		if fault, ok := errors.AsType[*StorageError](err); !ok || !errors.Is(fault, errFlaky) {
			t.Errorf("call %d: error is %v", n, err)
		}
		checkWhole(t, d)
		var sent atomic.Int64
		publishTo(t, d, artifact, &sent)
		index, err := artifact.Index.Digest()
		if err != nil {
			t.Fatal(err)
		}
		if got := pullAll(t, d, index); got != 7 {
			t.Errorf("call %d: %d blobs are there after the second try", n, got)
		}
	}
	if failures < 10 {
		t.Errorf("only %d calls failed", failures)
	}
}

// checkWhole wants every object to have its digest, and all that it names.
func checkWhole(t *testing.T, d *Store) {
	t.Helper()
	for _, key := range keysBelow(t, d, "blobs/") {
		digest := hashOf("")
		digest.Hex = strings.TrimPrefix(key, "blobs/sha256/")
		content, err := read(t, d, digest, 0, -1)
		if err != nil {
			t.Error(err)
		}
		if strings.Contains(content, `"schemaVersion"`) {
			pullAll(t, d, digest)
		}
	}
}

// A bucket that fails is not one that has nothing.
func TestUnavailableIsToldApart(t *testing.T) {
	for n := 1; n <= 3; n++ {
		f := &flaky{objects: map[string]object{}}
		d := New(blob.NewBucket(f), Options{TempDir: t.TempDir()})
		digest := put(t, d, "x/y", "content").Digest
		f.fails = f.calls + n
		_, errStat := d.Stat(t.Context(), digest)
		_, errRead := read(t, d, digest, 0, -1)
		if err := errors.Join(errStat, errRead); !errors.As(err, new(*StorageError)) || errors.Is(err, ErrNotFound) {
			t.Errorf("call %d: errors are %v", n, err)
		}
	}
}
