package publish

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/org/nixery-action/internal/plainfile"
	"github.com/org/nixery-action/internal/scratch"
)

// stdoutPath means standard output where a path is expected.
const stdoutPath = "-"

// DestinationError says why nothing can be written at Path, before anything was spent on building.
type DestinationError struct {
	Path string
	Err  error
}

func (e *DestinationError) Error() string {
	return fmt.Sprintf("destination %s cannot be written: %v; choose another with dest=…, or make it writable", e.Path, e.Err)
}

// Unwrap returns the cause, which may match fs.ErrPermission.
func (e *DestinationError) Unwrap() error { return e.Err }

// checkFile tells whether a file can be made at path.
func checkFile(path string) error {
	if path == stdoutPath {
		return nil
	}
	if scratch.InPlace(path) {
		return nil
	}
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.IsDir():
		return &DestinationError{path, errors.New("it is a directory, and a file is asked for")}
	case err == nil:
		if err := scratch.Check(path); err != nil { // such as a pipe, which nothing may ever read
			return &DestinationError{path, err}
		}
	}
	return checkDir(filepath.Dir(path))
}

// checkDir tells whether files can be made in dir, which may be missing: then in the first directory above that is there.
func checkDir(dir string) error {
	existing := dir
	info, err := os.Stat(existing)
	for errors.Is(err, fs.ErrNotExist) && existing != filepath.Dir(existing) {
		existing = filepath.Dir(existing)
		info, err = os.Stat(existing)
	}
	if err != nil {
		return &DestinationError{dir, err}
	}
	if !info.IsDir() {
		return &DestinationError{dir, fmt.Errorf("%s is a file", existing)}
	}
	if err := tryDir(existing); err != nil {
		return &DestinationError{dir, err}
	}
	return nil
}

func tryDir(dir string) error {
	file, err := scratch.NewFile(dir)
	if err != nil {
		return err
	}
	return errors.Join(os.Remove(file.Name()), file.Close()) // in this order: it is locked until it is gone
}

// checkLayout tells whether dir is missing, empty, or a layout.
func checkLayout(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return &DestinationError{dir, err}
	}
	for _, name := range []string{"oci-layout", "index.json", "blobs", "blobs/sha256"} {
		if at, err := os.Lstat(filepath.Join(dir, name)); err == nil && at.Mode()&fs.ModeSymlink != 0 {
			return &DestinationError{dir, fmt.Errorf("its %s is a link, which may lead anywhere; remove it", name)}
		}
	}
	raw, err := plainfile.ReadFile(filepath.Join(dir, "oci-layout"), maxIndex)
	if errors.Is(err, fs.ErrNotExist) {
		return &DestinationError{dir, errors.New("it is not empty, and not an OCI layout")}
	}
	if err != nil {
		return &DestinationError{dir, err}
	}
	var layout struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := json.Unmarshal(raw, &layout); err != nil || layout.Version != "1.0.0" {
		return &DestinationError{dir, fmt.Errorf("it is an OCI layout of an unknown version %q", layout.Version)}
	}
	if _, err := readIndex(dir); err != nil {
		return &DestinationError{dir, err}
	}
	return nil
}

// inTempDir runs fn with a directory on the same disk as path, which is gone when it returns.
func inTempDir(path string, fn func(dir string) error) (err error) {
	parent := filepath.Dir(path)
	if path == stdoutPath || scratch.InPlace(path) {
		parent = os.TempDir()
	} else if err := os.MkdirAll(parent, 0o777); err != nil {
		return err
	}
	scratch.Sweep(slog.New(slog.DiscardHandler), parent)
	dir, err := scratch.NewHiddenDir(parent)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	return fn(dir.Path())
}

// writeTarTo gives write the file at path, which is replaced when it succeeds, or stdout.
func writeTarTo(path string, stdout io.Writer, write func(io.Writer) error) error {
	if path != stdoutPath {
		return scratch.Replace(path, write)
	}
	if stdout == nil {
		return errors.New("there is no standard output to write to")
	}
	return write(stdout)
}
