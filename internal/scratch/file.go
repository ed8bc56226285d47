package scratch

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// NewFile creates a temporary file in dir, locked, for reading and writing. The user's umask decides about who else may read it. The caller
// closes it, and renames or removes it.
func NewFile(dir string) (*os.File, error) {
	for {
		file, err := os.OpenFile(filepath.Join(place(dir), filePrefix+rand.Text()), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o666)
		if err != nil {
			return nil, err
		}
		if err = lock(file); err == nil || lockless(err) {
			return file, nil
		}
		file.Close()
		if !errors.Is(err, errSwept) {
			return nil, errors.Join(err, os.Remove(file.Name()))
		}
	}
}

// Replace gives file the content that write writes, whole or not at all: it is written beside, and renamed. Where file is a link,
// the link is replaced, and not what it links to. A device that the user named is written to, as it is.
func Replace(file string, write func(io.Writer) error) error {
	if err := checkKind(file); err != nil {
		return err
	}
	if InPlace(file) {
		return writeInPlace(file, write)
	}
	return ReplaceNamed(filepath.Dir(file), func() string { return filepath.Base(file) }, write)
}

// ReplaceNamed is Replace in dir, where the name is known when the content was written.
func ReplaceNamed(dir string, name func() string, write func(io.Writer) error) (err error) {
	temp, err := NewFile(dir)
	if err != nil {
		return err
	}
	placed := false
	defer func() {
		if !placed {
			err = errors.Join(err, os.Remove(temp.Name()))
		}
		err = errors.Join(err, temp.Close())
	}()
	if err := write(temp); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), filepath.Join(dir, name())); err != nil {
		return err
	}
	placed = true
	return nil
}

// Check reports why Replace could not write file, and leaves everything as it is.
func Check(file string) error {
	if InPlace(file) {
		return nil
	}
	if err := checkKind(file); err != nil {
		return err
	}
	temp, err := NewFile(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(os.Remove(temp.Name()), temp.Close()) // in this order: it is locked until it is gone
}

// checkKind refuses what is neither replaced nor written to. Whether a named pipe will have a reader shows too late, and it may never.
func checkKind(file string) error {
	at, err := os.Lstat(file)
	switch {
	case err != nil || InPlace(file):
		return nil
	case at.IsDir():
		return errors.New("it is a directory, and a file is wanted")
	case at.Mode()&fs.ModeNamedPipe != 0:
		return errors.New("it is a named pipe, whose reader may never come; name /dev/stdout, or >(command) in bash")
	case at.Mode()&fs.ModeSocket != 0:
		return errors.New("it is a socket")
	}
	return nil
}

// InPlace reports whether a file is written to as it is: a device, or a name of an open file, such as /dev/stdout.
// A link in any other place never is: a repository can contain links, but no devices.
func InPlace(file string) bool {
	if _, ok := descriptor(file); ok {
		return true
	}
	at, err := os.Lstat(file)
	return err == nil && at.Mode()&fs.ModeDevice != 0
}

// descriptor returns the number of the open file that a path names.
func descriptor(file string) (fd int, ok bool) {
	file = filepath.Clean(file)
	switch file {
	case "/dev/stdout":
		return 1, true
	case "/dev/stderr":
		return 2, true
	}
	dir, base := filepath.Split(file)
	if dir != "/dev/fd/" && dir != "/proc/self/fd/" {
		return 0, false
	}
	fd, err := strconv.Atoi(base)
	return fd, err == nil
}

func writeInPlace(file string, write func(io.Writer) error) error {
	f, err := openInPlace(file)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

func openInPlace(file string) (*os.File, error) {
	if fd, ok := descriptor(file); ok {
		// A copy, since a socket cannot be opened by its name.
		copied, err := syscall.Dup(fd)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: file, Err: err}
		}
		syscall.CloseOnExec(copied)
		return os.NewFile(uintptr(copied), file), nil
	}
	return os.OpenFile(file, os.O_WRONLY|os.O_APPEND|syscall.O_NONBLOCK, 0)
}
