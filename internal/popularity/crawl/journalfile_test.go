package crawl

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/org/nixery-action/internal/plainfile"
)

// Reading a pipe in the place of a journal would not end.
func TestJournalIsAFile(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "state")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openJournal(pipe, "", func(entry) {}); !errors.Is(err, plainfile.ErrKind) {
		t.Errorf("got %v", err)
	}
}
