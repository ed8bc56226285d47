// Package plainfile opens the files that users name. A named pipe, a socket or a
// device in their place would block the process before any context is asked, so
// it is refused; a link to a regular file is followed.
package plainfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
)

// ErrKind is matched by the error for what is neither a regular file nor, where
// one is allowed, a directory.
var ErrKind = errors.New("it is not a regular file")

// Open opens a regular file for reading. Other kinds of files give [ErrKind], at
// once: O_NONBLOCK keeps the system from waiting for a pipe's other end.
func Open(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ENXIO) { // a socket
		return nil, &fs.PathError{Op: "open", Path: name, Err: kindError(fs.ModeSocket)}
	}
	if err != nil {
		return nil, err
	}
	stat, err := f.Stat()
	if err == nil && !stat.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: kindError(stat.Mode())}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// OpenStream is [Open] that accepts a named pipe as well, as a shell makes one of
// <(command). Opening a pipe waits for its writer, so the first Read does it:
// give it to a reader that ends with the context.
func OpenStream(name string) (io.ReadCloser, error) {
	if stat, err := os.Stat(name); err == nil && stat.Mode()&fs.ModeNamedPipe != 0 {
		return &pipe{name: name}, nil
	}
	return Open(name)
}

// pipe is opened by its first Read. Close may be called during a Read, and does
// not end it.
type pipe struct {
	name string
	mu   sync.Mutex
	file *os.File
}

func (p *pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	file := p.file
	p.mu.Unlock()
	if file == nil {
		var err error
		if file, err = os.Open(p.name); err != nil {
			return 0, err
		}
		p.mu.Lock()
		p.file = file
		p.mu.Unlock()
	}
	return file.Read(b)
}

func (p *pipe) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		return nil
	}
	return p.file.Close()
}

// ReadFile reads a regular file of at most limit bytes.
func ReadFile(name string, limit int64) ([]byte, error) {
	f, err := Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("it has more than %d bytes", limit)}
	}
	return content, err
}

// Check reports what is wrong with name as a place to read from: it must be a
// regular file or a directory, or a link to one. The error is [ErrKind], or the
// system's.
func Check(name string) error {
	stat, err := os.Stat(name)
	if err != nil {
		return err
	}
	if mode := stat.Mode(); !mode.IsRegular() && !mode.IsDir() {
		return &fs.PathError{Op: "open", Path: name, Err: kindError(mode)}
	}
	return nil
}

// kindError names the kind of a file that is not regular.
func kindError(mode fs.FileMode) error {
	kind := "a file of an unknown kind"
	switch {
	case mode.IsDir():
		kind = "a directory"
	case mode&fs.ModeNamedPipe != 0:
		kind = "a named pipe"
	case mode&fs.ModeSocket != 0:
		kind = "a socket"
	case mode&fs.ModeDevice != 0:
		kind = "a device"
	}
	return fmt.Errorf("%w but %s", ErrKind, kind)
}
