package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/blobstore"
	"github.com/org/nixery-action/internal/serve/route"
)

// blob answers with the bytes of a layer or config, or sends the client to where the storage itself has them.
func (s *Server) blob(w http.ResponseWriter, r *http.Request, reference string) error {
	digest, err := route.ParseDigest(reference)
	if err != nil {
		return notFound(digestInvalid, err.Error())
	}
	stored, err := s.options.Blobs.Stat(r.Context(), digest)
	if errors.Is(err, blobstore.ErrNotFound) {
		return notFound(blobUnknown, "this registry has no blob "+digest.String())
	}
	if err != nil {
		return err
	}
	if r.Method == http.MethodGet { // a signature is for one method
		to, err := s.options.Blobs.SignedURL(r.Context(), digest)
		if err != nil {
			return err
		}
		if to != "" {
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
			return nil
		}
	}
	content := &blobReader{ctx: r.Context(), store: s.options.Blobs, digest: digest, size: stored.Size}
	defer content.Close()
	oneRange(r)
	// A blob that will be read from its beginning is opened before the answer begins: an error can still be one.
	if r.Method == http.MethodGet && r.Header.Get("Range") == "" && r.Header.Get("If-None-Match") == "" {
		if err := content.open(); err != nil {
			return err
		}
	}
	// What a blob is, says the manifest that names it.
	describe(w.Header(), "application/octet-stream", digest)
	return s.send(w, r, Blob, content)
}

// blobReader is a blob as an [io.ReadSeeker]. Seeking costs nothing; the storage is asked when bytes are.
type blobReader struct {
	ctx    context.Context
	store  *blobstore.Store
	digest v1.Hash
	size   int64

	at      int64 // where the next Read begins
	content io.ReadCloser
	next    int64 // where content goes on
}

func (b *blobReader) open() (err error) {
	b.Close()
	b.content, _, err = b.store.Open(b.ctx, b.digest, b.at, -1)
	b.next = b.at
	return err
}

func (b *blobReader) Read(p []byte) (int, error) {
	if b.at >= b.size {
		return 0, io.EOF
	}
	if b.content == nil || b.next != b.at {
		if err := b.open(); err != nil {
			return 0, err
		}
	}
	n, err := b.content.Read(p)
	b.at += int64(n)
	b.next = b.at
	return n, err
}

// Seek implements [io.Seeker].
func (b *blobReader) Seek(offset int64, whence int) (int64, error) {
	from := map[int]int64{io.SeekStart: 0, io.SeekCurrent: b.at, io.SeekEnd: b.size}
	base, ok := from[whence]
	if !ok || base+offset < 0 {
		return 0, fmt.Errorf("seeking in blob %s: there is no %d from %d", b.digest, offset, whence)
	}
	b.at = base + offset
	return b.at, nil
}

// Close implements [io.Closer].
func (b *blobReader) Close() error {
	if b.content == nil {
		return nil
	}
	err := b.content.Close()
	b.content = nil
	return err
}

// rangeForm is one range of bytes: RFC 9110, section 14.1.2.
var rangeForm = regexp.MustCompile(`^(?i:bytes)=[ \t]*(?:([0-9]+)-([0-9]*)|-([0-9]+))[ \t]*$`)

// oneRange leaves in a request a range that takes one read of the storage, and removes what takes more: several ranges, and what is
// no range. The answer is the whole then, as section 14.2 allows. Ranges are for GET alone.
func oneRange(r *http.Request) {
	fields := r.Header.Values("Range")
	if len(fields) == 0 {
		return
	}
	m := rangeForm.FindStringSubmatch(fields[0])
	if len(fields) > 1 || m == nil || r.Method != http.MethodGet {
		r.Header.Del("Range")
		return
	}
	first, last, suffix := position(m[1]), position(m[2]), position(m[3])
	if m[1] == "" {
		r.Header.Set("Range", "bytes=-"+suffix)
		return
	}
	if last != "" && (len(last) < len(first) || len(last) == len(first) && last < first) {
		r.Header.Del("Range") // no range, as it ends before it begins
		return
	}
	r.Header.Set("Range", "bytes="+first+"-"+last)
}

// position is a number without leading zeros, and never more than net/http reads: no blob is as large.
func position(digits string) string {
	const largest = "999999999999999999"
	if digits == "" {
		return ""
	}
	if digits = strings.TrimLeft(digits, "0"); len(digits) > len(largest) {
		return largest
	}
	if digits == "" {
		return "0"
	}
	return digits
}
