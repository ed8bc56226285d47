package cache

import (
	"context"
	"fmt"
	"io"
)

// What stores are doing, for their errors.
const (
	Finding = "looking for an entry"
	Reading = "reading an entry"
	Saving  = "saving an entry"
)

// CopyAll writes what open gives, which must be size bytes.
func CopyAll(ctx context.Context, w io.Writer, size int64, open func() (io.ReadCloser, error)) error {
	content, err := open()
	if err != nil {
		return fmt.Errorf("opening content: %w", err)
	}
	defer content.Close()
	n, err := io.Copy(w, io.LimitReader(cancelled{ctx, content}, size+1))
	if err != nil {
		return fmt.Errorf("copying content: %w", err)
	}
	if n != size {
		return SizeError(size)
	}
	return nil
}

func SizeError(size int64) error {
	return fmt.Errorf("the content is not of %d bytes, as was said", size)
}

// cancelled ends a long read when its context does.
type cancelled struct {
	ctx context.Context
	r   io.Reader
}

func (c cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
