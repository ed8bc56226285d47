package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func fifo(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A file that is not a key is an error, and none that is waited for.
func TestCacheKeyFiles(t *testing.T) {
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, make([]byte, largestCacheKey+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{fifo(t): "not a regular file", "/dev/zero": "not a regular file", large: "more than 4096 bytes"} {
		if secret, err := readCacheKey(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v", file, secret, err)
		}
	}
}

// A closure that never comes does not hold up a run that is cancelled: neither one that cannot be opened, nor one that has no end.
func TestReadingAClosureEndsWithItsContext(t *testing.T) {
	silent := fifo(t)
	writer := make(chan *os.File)
	go func() {
		f, err := os.OpenFile(silent, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString("[ ")
		}
		if err != nil {
			t.Error(err)
		}
		writer <- f
	}()
	for _, file := range []string{fifo(t), silent} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := readClosure(ctx, file)
			done <- err
		}()
		if file == silent {
			defer (<-writer).Close()
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
}
