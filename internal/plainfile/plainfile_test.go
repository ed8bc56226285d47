package plainfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What is not a regular file is refused at once, by name of its kind; a link is
// followed.
func TestKinds(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	socket, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(socket)
	t.Chdir(dir) // a socket's name has at most 108 bytes
	if err := errors.Join(
		os.WriteFile(in("file"), []byte("text"), 0o600), os.Symlink("file", in("link")), os.Mkdir(in("directory"), 0o700), syscall.Mkfifo(in("pipe"), 0o600),
		os.Symlink("pipe", in("link to pipe")), syscall.Bind(socket, &syscall.SockaddrUnix{Name: "socket"}), os.Symlink("/dev/null", in("device")),
	); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"file": "", "link": "", "directory": "a directory", "pipe": "a named pipe", "link to pipe": "a named pipe", "socket": "a socket", "device": "a device",
	} {
		text, err := ReadFile(in(name), 4)
		if want == "" {
			if err != nil || string(text) != "text" {
				t.Errorf("%s: %q, %v", name, text, err)
			}
			continue
		}
		if !errors.Is(err, ErrKind) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), in(name)) {
			t.Errorf("%s: %v", name, err)
		}
		if err := Check(in(name)); errors.Is(err, ErrKind) == (name == "directory") {
			t.Errorf("checked, %s: %v", name, err)
		}
	}
	if _, err := Open(in("none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := ReadFile(in("file"), 3); err == nil {
		t.Error("it reads more than it may")
	}
}

// A pipe is read to its end, though its writer comes later than its reader.
func TestStream(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := OpenStream(pipe)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	go func() {
		writer, err := os.OpenFile(pipe, os.O_WRONLY, 0) // waits for the reader
		if err == nil {
			_, err = writer.WriteString("text")
			err = errors.Join(err, writer.Close())
		}
		if err != nil {
			t.Error(err)
		}
	}()
	if text, err := io.ReadAll(f); err != nil || string(text) != "text" {
		t.Errorf("%q, %v", text, err)
	}
}
