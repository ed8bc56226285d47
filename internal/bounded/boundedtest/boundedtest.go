// Package boundedtest measures what decoding costs, for tests of limits. It
// stands apart because decoders are in many packages.
package boundedtest

import (
	"bytes"
	"compress/gzip"
	"context"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
)

// Within fails the test if f allocates more than most bytes, garbage included.
// Nothing else may run at the same time.
func Within(t testing.TB, most uint64, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > most {
		t.Errorf("it allocates %d KiB, over %d", used>>10, most>>10)
	}
}

// Gzip returns a gzip file of begin, n times repeat, and end.
func Gzip(t testing.TB, begin, repeat string, n int, end string) []byte {
	t.Helper()
	var b bytes.Buffer
	zip, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	const chunk = 4096
	many := []byte(strings.Repeat(repeat, chunk))
	write := func(p []byte) {
		if _, err := zip.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	write([]byte(begin))
	for ; n >= chunk; n -= chunk {
		write(many)
	}
	write(many[:n*len(repeat)])
	write([]byte(end))
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Ending is a context that is cancelled when it was asked often enough: in the
// midst of whatever asks it, and always at the same place.
type Ending struct {
	context.Context
	left atomic.Int64
}

// EndingAfter returns a context that is cancelled from the nth question on.
func EndingAfter(ctx context.Context, n int64) *Ending {
	e := &Ending{Context: ctx}
	e.left.Store(n)
	return e
}

// Err implements [context.Context].
func (e *Ending) Err() error {
	if e.left.Add(-1) <= 0 {
		return context.Canceled
	}
	return e.Context.Err()
}

// Ended reports whether it was asked as often.
func (e *Ending) Ended() bool { return e.left.Load() <= 0 }
