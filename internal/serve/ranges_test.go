package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"

	"github.com/org/nixery-action/internal/blobstore"
)

// countedBucket is a bucket in memory that counts its reads.
type countedBucket struct {
	driver.Bucket // nil: it has the methods that are not called
	mu            sync.Mutex
	objects       map[string]countedObject
	reads         int
}

type countedObject struct {
	contentType string
	content     []byte
}

func (c *countedBucket) get(key string) (countedObject, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o, ok := c.objects[key]
	if !ok {
		return o, fs.ErrNotExist
	}
	return o, nil
}

func (c *countedBucket) Close() error                                                { return nil }
func (c *countedBucket) ErrorAs(error, any) bool                                     { return false }
func (c *countedBucket) Delete(context.Context, string, *driver.DeleteOptions) error { return nil }

func (c *countedBucket) ErrorCode(err error) gcerrors.ErrorCode {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return gcerrors.NotFound
	case errors.Is(err, fs.ErrExist):
		return gcerrors.FailedPrecondition
	}
	return gcerrors.Unknown
}

func (c *countedBucket) Attributes(_ context.Context, key string) (*driver.Attributes, error) {
	o, err := c.get(key)
	return &driver.Attributes{ContentType: o.contentType, Size: int64(len(o.content))}, err
}

func (c *countedBucket) ListPaged(context.Context, *driver.ListOptions) (*driver.ListPage, error) {
	return &driver.ListPage{}, nil
}

func (c *countedBucket) NewRangeReader(_ context.Context, key string, offset, length int64, _ *driver.ReaderOptions) (driver.Reader, error) {
	o, err := c.get(key)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads++
	content := o.content[offset:]
	if length >= 0 {
		content = content[:min(length, int64(len(content)))]
	}
	return countedReader{bytes.NewReader(content), &driver.ReaderAttributes{ContentType: o.contentType, Size: int64(len(o.content))}}, nil
}

type countedReader struct {
	io.Reader
	attributes *driver.ReaderAttributes
}

func (r countedReader) Attributes() *driver.ReaderAttributes { return r.attributes }
func (r countedReader) As(any) bool                          { return false }
func (r countedReader) Close() error                         { return nil }

func (c *countedBucket) NewTypedWriter(_ context.Context, key, contentType string, o *driver.WriterOptions) (driver.Writer, error) {
	return &countedWriter{bucket: c, key: key, contentType: contentType, ifNotExist: o.IfNotExist}, nil
}

type countedWriter struct {
	bytes.Buffer
	bucket           *countedBucket
	key, contentType string
	ifNotExist       bool
}

func (w *countedWriter) Close() error {
	w.bucket.mu.Lock()
	defer w.bucket.mu.Unlock()
	if _, taken := w.bucket.objects[w.key]; taken && w.ifNotExist {
		return fs.ErrExist
	}
	w.bucket.objects[w.key] = countedObject{w.contentType, w.Bytes()}
	return nil
}

// Whatever ranges a client asks for, one read of the storage serves them: one range, or the whole.
func TestRangesTakeOneRead(t *testing.T) {
	bucket := &countedBucket{objects: map[string]countedObject{}}
	r := newRegistry(t, func(o *Options) {
		o.Blobs = blobstore.New(blob.NewBucket(bucket), blobstore.Options{TempDir: t.TempDir()})
	})
	layer := r.get("/v2/big/manifests/latest").manifest(t).Layers[0]
	manifest := "/v2/big/manifests/" + r.get("/v2/big/manifests/latest").digest()
	size := int(layer.Size)
	many := "bytes=0-0"
	for i := 2; len(many) < 20_000; i += 2 {
		many += fmt.Sprintf(",%d-%d", i, i)
	}
	huge := strings.Repeat("9", 40)
	for _, path := range []string{"/v2/big/blobs/" + layer.Digest.String(), manifest} {
		full := size
		if path == manifest {
			full = len(r.get(manifest).content)
		}
		plain := bucket.cost(r, path)
		for _, c := range []struct {
			fields       []string
			status, size int
		}{
			{[]string{many}, 200, full},
			{[]string{"bytes=0-0,2-2"}, 200, full},
			{[]string{"bytes=0-,0-,0-"}, 200, full},
			{[]string{"bytes=0-0, -1"}, 200, full},
			{[]string{"bytes=0-0,"}, 200, full},
			{[]string{",bytes=0-0"}, 200, full},
			{[]string{"bytes=0-0", "bytes=2-2"}, 200, full},
			{[]string{"bytes=5-1"}, 200, full},
			{[]string{"bytes=10-9"}, 200, full},
			{[]string{"bytes=-"}, 200, full},
			{[]string{"bytes=a-b"}, 200, full},
			{[]string{"bytes=--1"}, 200, full},
			{[]string{"bytes=+1-2"}, 200, full},
			{[]string{"bytes=0-0x"}, 200, full},
			{[]string{"bytes"}, 200, full},
			{[]string{""}, 200, full},
			{[]string{"lines=0-1"}, 200, full},
			{[]string{"bytes=0-0"}, 206, 1},
			{[]string{"Bytes=0-9"}, 206, 10},
			{[]string{"bytes=0000000000000000000000000-9"}, 206, 10},
			{[]string{"bytes=9-10"}, 206, 2},
			{[]string{"bytes=0-" + huge}, 206, full},
			{[]string{"bytes=-" + huge}, 206, full},
			{[]string{"bytes=-3"}, 206, 3},
			{[]string{"bytes=" + huge + "-"}, 416, -1},
			{[]string{"bytes=" + huge + "-" + huge}, 416, -1},
			{[]string{fmt.Sprintf("bytes=%d-", full)}, 416, -1},
		} {
			request := httptest.NewRequest(http.MethodGet, path, http.NoBody)
			request.Header["Range"] = c.fields
			answer := httptest.NewRecorder()
			before := bucket.reads
			r.Handler().ServeHTTP(answer, request)
			if answer.Code != c.status || c.size >= 0 && answer.Body.Len() != c.size || strings.HasPrefix(answer.Header().Get("Content-Type"), "multipart/") {
				t.Errorf("%s %.60q: %d, %d bytes, want %d, %d", path, c.fields, answer.Code, answer.Body.Len(), c.status, c.size)
			}
			if n := bucket.reads - before; n > plain {
				t.Errorf("%s %.60q takes %d reads, and the whole %d", path, c.fields, n, plain)
			}
		}
		if head := r.do(http.MethodHead, path, "Range", "bytes=0-0"); head.StatusCode != http.StatusOK {
			t.Errorf("HEAD %s: %s", path, head.Status)
		}
	}
}

func (c *countedBucket) cost(r *registry, path string) int {
	before := c.reads
	r.get(path)
	return c.reads - before
}
