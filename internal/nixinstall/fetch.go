package nixinstall

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/org/nixery-action/internal/plainfile"
	"github.com/org/nixery-action/internal/scratch"
)

const mostArchive = 256 << 20 // bytes; that of Nix 2.35 has a tenth

// fetch opens the archive, kept or downloaded, at its begin and verified. Its
// bytes cannot change any more, but by those who may change what we run.
func (i Installer) fetch(ctx context.Context) (*os.File, error) {
	if i.Keep != "" {
		kept, err := i.kept()
		if err == nil {
			return kept, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			i.Log.Warn("downloading Nix once more", "file", i.keptFile(), "cause", err)
		}
	}
	f, err := i.blank()
	if err != nil {
		return nil, err
	}
	if err := i.download(ctx, f); err != nil {
		f.Close()
		return nil, errors.Join(fmt.Errorf("downloading %s: %w", i.Archive.where(), err), forget(f))
	}
	if err := i.keep(f); err != nil {
		i.Log.Debug("Nix is not kept for later runs", "cause", err)
	}
	_, err = f.Seek(0, io.SeekStart)
	return f, err
}

func (i Installer) keptFile() string { return filepath.Join(i.Keep, i.Archive.name()) }

func (i Installer) kept() (*os.File, error) {
	f, err := plainfile.Open(i.keptFile())
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	if _, err = io.Copy(sum, io.LimitReader(f, mostArchive)); err == nil {
		err = i.Archive.verify(sum.Sum(nil))
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// verify compares the archive's hash.
func (a Archive) verify(sum []byte) error {
	if got := hex.EncodeToString(sum); got != a.SHA256 {
		return &hashError{want: a.SHA256, got: got}
	}
	return nil
}

// hashError is an archive that is not the one that was asked for.
type hashError struct{ want, got string }

func (e *hashError) Error() string {
	return fmt.Sprintf("its SHA-256 is %s, want %s", e.got, e.want)
}

// blank is a file to download to: beside where it will be kept, if that can be
// written, else a temporary one.
func (i Installer) blank() (*os.File, error) {
	if i.Keep != "" && os.MkdirAll(i.Keep, 0o755) == nil {
		scratch.Sweep(i.Log, i.Keep)
		if f, err := scratch.NewFile(i.Keep); err == nil {
			return f, nil
		}
	}
	return scratch.NewFile(i.TempDir)
}

// keep gives a download its name for later runs, if it lies beside it; else it
// has no name any more, and is gone when it is closed.
func (i Installer) keep(f *os.File) error {
	if i.Keep == "" || filepath.Dir(f.Name()) != filepath.Clean(i.Keep) {
		return forget(f)
	}
	err := errors.Join(f.Chmod(0o444), os.Rename(f.Name(), i.keptFile()))
	if err != nil {
		err = errors.Join(err, forget(f))
	}
	return err
}

func forget(f *os.File) error { return os.Remove(f.Name()) }
