package cache

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
)

// Memory is a [Store] that lasts as long as the process.
type Memory struct {
	mu      sync.Mutex
	entries map[Name][]byte
	newest  map[Scope]uint32
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{entries: map[Name][]byte{}, newest: map[Scope]uint32{}}
}

func (*Memory) String() string { return "the cache in memory" }

// Newest implements [Store].
func (m *Memory) Newest(ctx context.Context, scope Scope) (Entry, error) {
	if err := ctx.Err(); err != nil {
		return Entry{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	serial, ok := m.newest[scope]
	if !ok {
		return Entry{}, ErrNotFound
	}
	name := Name{scope, serial}
	content := m.entries[name]
	open := func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	return Entry{name, int64(len(content)), open}, nil
}

// Save implements [Store].
func (m *Memory) Save(ctx context.Context, name Name, size int64, open func() (io.ReadCloser, error)) error {
	if m.has(name) {
		return ErrExists
	}
	var content bytes.Buffer
	if err := copyAll(ctx, &content, size, open); err != nil {
		return failed(ctx, m.String(), savingEntry, Other, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.entries[name]; taken {
		return ErrExists
	}
	m.entries[name] = content.Bytes()
	m.newest[name.Scope] = max(m.newest[name.Scope], name.Serial)
	return nil
}

func (m *Memory) has(name Name) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.entries[name]
	return ok
}

// What stores are doing, for their errors.
const (
	findingEntry = "looking for an entry"
	readingEntry = "reading an entry"
	savingEntry  = "saving an entry"
)

// copyAll writes what open gives, which must be size bytes.
func copyAll(ctx context.Context, w io.Writer, size int64, open func() (io.ReadCloser, error)) error {
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
		return sizeError(size)
	}
	return nil
}

func sizeError(size int64) error {
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
