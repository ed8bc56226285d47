package scratch

import (
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// What is in use is not swept, however often other runs sweep.
func TestSweepBesideUses(t *testing.T) {
	dir := t.TempDir()
	failing := errors.New("no content")
	var uses, sweeps sync.WaitGroup
	done := make(chan struct{})
	sweeps.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				Sweep(slog.New(slog.DiscardHandler), dir)
			}
		}
	})
	for n := range 4 {
		uses.Go(func() {
			file := filepath.Join(dir, strconv.Itoa(n))
			for range 30 {
				if err := Check(file); err != nil {
					t.Errorf("checking: %v", err)
				}
				if err := Replace(file, func(w io.Writer) error { _, err := io.WriteString(w, "text"); return err }); err != nil {
					t.Errorf("replacing: %v", err)
				}
				if err := Replace(file, func(io.Writer) error { return failing }); err == nil || err.Error() != failing.Error() {
					t.Errorf("content that fails: %v", err)
				}
			}
		})
	}
	uses.Wait()
	close(done)
	sweeps.Wait()
}
