package nixinstall

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/org/nixery-action/internal/fetch"
	"github.com/org/nixery-action/internal/progress"
	"github.com/org/nixery-action/internal/retry"
)

// attemptTime bounds one attempt to download an archive of some 20 MB.
const attemptTime = 5 * time.Minute

// download fills f with the archive and verifies it.
func (i Installer) download(ctx context.Context, f *os.File) error {
	stage := i.Display.Stage("downloading " + i.Archive.title())
	client := fetch.New(fetch.Options{
		Agent: i.UserAgent, Timeout: attemptTime, Retry: retry.Policy{First: i.wait},
		Note: func(_ string, wait time.Duration, cause error) {
			i.Log.Warn("trying again", "where", i.Archive.where(), "wait", wait, "cause", cause)
		},
	})
	defer client.Close()
	_, err := client.Stream(ctx, i.Archive.URL, func(body io.Reader, size int64) error {
		if size > i.limit() {
			return errTooLarge
		}
		stage.Total(0, max(size, 0))
		return i.receive(body, f, stage)
	})
	if err != nil {
		stage.Done("stopped")
		return err
	}
	stage.Done("")
	return nil
}

func (i Installer) limit() int64 { return cmp.Or(i.most, mostArchive) }

var errTooLarge = errors.New("it is too large for a release of Nix")

// receive writes the archive to f, from its beginning.
func (i Installer) receive(body io.Reader, f *os.File, stage *progress.Stage) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	sum, counted := sha256.New(), &meter{stage: stage}
	n, err := io.Copy(io.MultiWriter(f, sum, counted), io.LimitReader(body, i.limit()+1))
	switch {
	case err != nil:
		err = fmt.Errorf("reading the answer: %w", err)
	case n > i.limit():
		err = errTooLarge
	default:
		err = i.Archive.verify(sum.Sum(nil))
	}
	if err != nil {
		stage.Add(0, -n)
	}
	return err
}

// meter shows what goes through it.
type meter struct{ stage *progress.Stage }

func (m *meter) Write(p []byte) (int, error) {
	m.stage.Add(0, int64(len(p)))
	return len(p), nil
}
