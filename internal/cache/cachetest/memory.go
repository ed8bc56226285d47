package cachetest

import (
	"bytes"
	"context"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/org/nixery-action/internal/cache"
)

// Memory is a [cache.Store] that lasts as long as the process, for tests.
type Memory struct {
	mu      sync.Mutex
	entries map[cache.Name][]byte
	newest  map[cache.Scope]uint32
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{entries: map[cache.Name][]byte{}, newest: map[cache.Scope]uint32{}}
}

func (*Memory) String() string { return "the cache in memory" }

// Newest implements [Store].
func (m *Memory) Newest(ctx context.Context, scope cache.Scope) (cache.Entry, error) {
	if err := ctx.Err(); err != nil {
		return cache.Entry{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	serial, ok := m.newest[scope]
	if !ok {
		return cache.Entry{}, cache.ErrNotFound
	}
	name := cache.Name{Scope: scope, Serial: serial}
	content := m.entries[name]
	open := func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	return cache.Entry{Name: name, Size: int64(len(content)), Open: open}, nil
}

// Save implements [Store].
func (m *Memory) Save(ctx context.Context, name cache.Name, size int64, open func() (io.ReadCloser, error)) error {
	if m.has(name) {
		return cache.ErrExists
	}
	var content bytes.Buffer
	if err := cache.CopyAll(ctx, &content, size, open); err != nil {
		return cache.Failed(ctx, m.String(), cache.Saving, cache.Other, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.entries[name]; taken {
		return cache.ErrExists
	}
	m.entries[name] = content.Bytes()
	m.newest[name.Scope] = max(m.newest[name.Scope], name.Serial)
	return nil
}

func (m *Memory) has(name cache.Name) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.entries[name]
	return ok
}

// Len is how many entries there are.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.entries)
}

// Names returns the names of all entries, in no order.
func (m *Memory) Names() []cache.Name {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.entries))
}

// Tamper is that of [Site].
func (m *Memory) Tamper(name string, change func([]byte) []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, content := range m.entries {
		if key.String() == name {
			m.entries[key] = change(bytes.Clone(content))
		}
	}
}

// MemorySite is a site of a [Memory].
func MemorySite() Site {
	m := NewMemory()
	return Site{Open: func() cache.Store { return m }, Reserves: true, Tamper: m.Tamper}
}
