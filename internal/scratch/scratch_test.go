package scratch

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// The test binary plays a process that creates what it is asked for, says so, and waits to be killed.
func TestMain(m *testing.M) {
	dir := os.Getenv("SCRATCH_LEAVE_IN")
	if dir == "" {
		os.Exit(m.Run())
	}
	made, err := NewDir(dir)
	file, errFile := NewFile(dir)
	hidden, errHidden := NewHiddenDir(dir)
	if err := errors.Join(err, errFile, errHidden); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_ = os.Symlink("/", filepath.Join(made.Path(), "root"))
	fmt.Printf("%s\n%s\n%s\n", made.Path(), file.Name(), hidden.Path())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// leave starts such a process; kill ends it as the kernel does when memory runs out.
func leave(t *testing.T, dir string) (paths []string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SCRATCH_LEAVE_IN="+dir)
	_, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	t.Cleanup(kill)
	lines := bufio.NewScanner(out)
	for len(paths) < 3 && lines.Scan() {
		paths = append(paths, lines.Text())
	}
	if len(paths) < 3 {
		t.Fatalf("it said %q", paths)
	}
	return paths, kill
}

func present(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// What living processes have stays, what dead ones had goes, and so does nothing else, whatever it is called.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	living, _ := leave(t, dir)
	dead, kill := leave(t, dir)
	kill()
	other := func(prefix, letter string) string { return filepath.Join(dir, prefix+strings.Repeat(letter, 26)) }
	outside := t.TempDir()
	stay := []string{filepath.Join(dir, "nixery-action-main"), other(dirPrefix, "A") + "x", filepath.Join(dir, ".nixery-cache")}
	if os.Geteuid() == 0 { // others cannot create what is not theirs
		foreign := other(dirPrefix, "B")
		if err := errors.Join(os.Mkdir(foreign, 0o755), os.Chown(foreign, 12345, 12345)); err != nil {
			t.Fatal(err)
		}
		stay = append(stay, foreign)
	}
	for _, path := range stay[:3] {
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link, fifo := other(dirPrefix, "C"), other(filePrefix, "D")
	err := errors.Join(os.WriteFile(filepath.Join(outside, "file"), nil, 0o600), os.Symlink(outside, link), syscall.Mkfifo(fifo, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	stay = append(stay, link, fifo, filepath.Join(outside, "file"))
	stay = append(stay, living...)
	var log strings.Builder
	Sweep(slog.New(slog.NewTextHandler(&log, nil)), dir, dir, filepath.Join(dir, "missing"))
	for _, path := range stay {
		if !present(path) {
			t.Errorf("%s is gone", path)
		}
	}
	for _, path := range dead {
		if present(path) || strings.Count(log.String(), path) != 1 {
			t.Errorf("%s is left, or not reported: %s", path, &log)
		}
	}
}

// Runs that start while others sweep lose nothing.
func TestSweepWhileStarting(t *testing.T) {
	dir, quiet := t.TempDir(), slog.New(slog.DiscardHandler)
	var runs, sweeps sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		sweeps.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					Sweep(quiet, dir)
				}
			}
		})
	}
	for range 4 {
		runs.Go(func() {
			for range 100 {
				made, err := NewDir(dir)
				if err != nil {
					t.Error(err)
					return
				}
				file := filepath.Join(made.Path(), "file")
				if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Remove(file), made.Close()); err != nil {
					t.Error(err)
				}
				err = Replace(filepath.Join(dir, "out"), func(w io.Writer) error { _, err := io.WriteString(w, "whole"); return err })
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	runs.Wait()
	close(done)
	sweeps.Wait()
	if text, err := os.ReadFile(filepath.Join(dir, "out")); err != nil || string(text) != "whole" {
		t.Errorf("%q, %v", text, err)
	}
}

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
}

// A link is replaced, dangling or not; its target stays as it is. Whatever fails, the old file is left, and nothing beside it.
func TestReplace(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(t.TempDir(), "target")
	link, dangling, file := filepath.Join(dir, "link"), filepath.Join(dir, "dangling"), filepath.Join(dir, "file")
	if err := errors.Join(os.WriteFile(target, []byte("precious"), 0o600), os.Symlink(target, link), os.Symlink(target+"-none", dangling)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, dangling, file} {
		if err := errors.Join(Check(path), Replace(path, text("new"))); err != nil {
			t.Error(err)
		}
		at, err := os.Lstat(path)
		if err != nil || !at.Mode().IsRegular() {
			t.Errorf("%s: %v, %v", path, at, err)
		}
		if err := Replace(path, func(w io.Writer) error { _ = text("half")(w); return io.ErrUnexpectedEOF }); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(err)
		}
		if content, _ := os.ReadFile(path); string(content) != "new" {
			t.Errorf("%s has %q", path, content)
		}
	}
	if content, _ := os.ReadFile(target); string(content) != "precious" || present(target+"-none") {
		t.Errorf("the target has %q", content)
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 3 {
		t.Errorf("left: %v", entries)
	}
	if err := errors.Join(Check(dir)); err == nil {
		t.Error("a directory is taken for a file")
	}
}

// Devices and open files that the user names are written to as they are; a link to one is replaced like any other, and a named pipe
// is refused.
func TestReplaceInPlace(t *testing.T) {
	dir := t.TempDir()
	fifo, link := filepath.Join(dir, "fifo"), filepath.Join(dir, "link")
	if err := errors.Join(syscall.Mkfifo(fifo, 0o600), os.Symlink("/dev/null", link)); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{Check(fifo), Replace(fifo, text("lost"))} {
		if err == nil || !strings.Contains(err.Error(), "it is a named pipe") {
			t.Errorf("a named pipe: %v", err)
		}
	}
	if err := errors.Join(Check("/dev/null"), Replace("/dev/null", text("gone")), Replace(link, text("new"))); err != nil {
		t.Fatal(err)
	}
	for path, regular := range map[string]bool{"/dev/null": false, link: true} {
		if at, err := os.Lstat(path); err != nil || at.Mode().IsRegular() != regular {
			t.Errorf("%s: %v, %v", path, at, err)
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(Replace(fmt.Sprintf("/dev/fd/%d", w.Fd()), text("by number")), w.Close()); err != nil {
		t.Fatal(err)
	}
	if content, err := io.ReadAll(r); err != nil || !bytes.Equal(content, []byte("by number")) {
		t.Errorf("%q, %v", content, err)
	}
}

func TestInside(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	workspace := filepath.Join(dir, "workspace")
	err := errors.Join(
		os.MkdirAll(filepath.Join(workspace, "a/b"), 0o755), os.Symlink(outside, filepath.Join(workspace, "out")),
		os.Symlink("a", filepath.Join(workspace, "in")), os.Symlink("../../x", filepath.Join(workspace, "a/up")),
		os.Symlink(filepath.Join(outside, "none"), filepath.Join(workspace, "dangling")),
		os.Symlink("loop", filepath.Join(workspace, "loop")), os.Symlink(workspace, filepath.Join(dir, "alias")),
	)
	if err != nil {
		t.Fatal(err)
	}
	for path, inside := range map[string]bool{
		"file": true, "a/b/c/d": true, "in/b/file": true, "in/none/file": true, "": true,
		"out": false, "out/file": false, "out/x/y": false, "dangling": false, "dangling/x": false, "a/up": false, "a/up/x": false, "in/up": false,
	} {
		for _, root := range []string{workspace, filepath.Join(dir, "alias")} {
			err := Inside(root, filepath.Join(root, path))
			if _, is := errors.AsType[*OutsideError](err); is == inside || inside && err != nil {
				t.Errorf("%s in %s: %v", path, root, err)
			}
		}
	}
	for _, elsewhere := range []string{outside, filepath.Join(workspace, "../x"), "/dev/stdout"} {
		if err := Inside(workspace, elsewhere); err != nil {
			t.Errorf("%s: %v", elsewhere, err)
		}
	}
	if err := Inside(workspace, filepath.Join(workspace, "loop/x")); err == nil {
		t.Error("a loop is inside")
	}
}
