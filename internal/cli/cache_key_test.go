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
	writer, err := os.OpenFile(silent, os.O_RDWR, 0) // for both, so that it waits for no reader
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if _, err := writer.WriteString("[ "); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{fifo(t), silent} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := readClosure(ctx, file)
			done <- err
		}()
		cancel()
		if err := <-done; err == nil || file == silent && !errors.Is(err, context.Canceled) { // without a writer a pipe may end at once
			t.Errorf("got %v", err)
		}
	}
}
