package cache

import (
	"io"
	"testing"
)

// A source without an end is read only a little beyond the size of the blob.
func TestVerifiedEnds(t *testing.T) {
	v := newVerified(io.NopCloser(&pattern{}), hashOf("blob"), 4, func(err error) error { return err })
	n, err := io.Copy(io.Discard, io.LimitReader(v, 1<<20))
	if err == nil || n > 64<<10 {
		t.Errorf("%d bytes were read: %v", n, err)
	}
}
