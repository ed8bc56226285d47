package crawl

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/plainfile"
)

// journal is a file to which each answer is added as it comes, so that a count
// that is interrupted or killed continues where it was. A line is one write; the
// incomplete line that a crash may leave at the end is dropped. The nil journal
// stores nothing.
//
//	heading: format and digest of the inputs
//	{"p":"/nix/store/…-app","n":["glibc","zlib"]}
//	{"p":"/nix/store/…-lib","w":"absent"}
type journal struct{ file *os.File }

// entry is a line of a journal: the answer to one path. The short keys are for
// files with a hundred thousand lines.
type entry struct {
	Path   nix.StorePath `json:"p"`
	Names  []string      `json:"n,omitempty"` // that it refers to, without version, sorted
	Why    Why           `json:"w,omitempty"` // if it is lost
	Detail string        `json:"d,omitempty"`
}

// heading is the first line. It binds the journal to a version of its format,
// which ends with the rule for names, and to what is being counted.
type heading struct {
	Journal string `json:"journal"`
	Inputs  string `json:"inputs"`
}

const journalVersion = "nixery-action popularity 1"

// inputsOf returns a digest of all inputs of an answer.
func inputsOf(parts ...string) string {
	sum := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(sum, "%d:%s", len(part), part)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// openJournal opens or creates the journal in file, and calls replay with each
// answer in it. For an empty name it returns nil.
func openJournal(file, inputs string, replay func(entry)) (*journal, error) {
	if file == "" {
		return nil, nil
	}
	if err := plainfile.Check(file); errors.Is(err, plainfile.ErrKind) {
		return nil, fmt.Errorf("opening the state of the count: %w", err)
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the state of the count: %w", err)
	}
	j := &journal{f}
	if err := j.resume(inputs, replay); err != nil {
		f.Close()
		return nil, fmt.Errorf("state %s: %w", file, err)
	}
	return j, nil
}

func (j *journal) resume(inputs string, replay func(entry)) error {
	if err := syscall.Flock(int(j.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.New("another count is using it")
	}
	want := heading{journalVersion, inputs}
	lines := bufio.NewReader(j.file)
	first, err := lines.ReadBytes('\n')
	switch {
	case errors.Is(err, io.EOF) && isStart(first, want):
		if err := j.file.Truncate(0); err != nil {
			return err
		}
		return j.write(want)
	case err != nil && !errors.Is(err, io.EOF):
		return err
	}
	var found heading
	if json.Unmarshal(first, &found) != nil || found.Journal == "" {
		return errors.New("it is not the state of a count; name another file")
	}
	if found != want {
		return errors.New("it is of another count, with another cache, other keys or other store paths; remove it, or name another file")
	}
	end, err := replayAll(lines, replay)
	if err != nil {
		return err
	}
	return j.file.Truncate(int64(len(first)) + end)
}

// isStart reports whether text is empty, or a heading that was cut off.
func isStart(text []byte, want heading) bool {
	line, err := json.Marshal(want)
	return err == nil && bytes.HasPrefix(line, text)
}

// replayAll returns the length of the whole lines. A line that cannot be read
// ends them, as does a last one without its end.
func replayAll(lines *bufio.Reader, replay func(entry)) (end int64, err error) {
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return end, nil
		}
		if err != nil {
			return end, err
		}
		var e entry
		if json.Unmarshal(line, &e) != nil || e.Path == "" {
			return end, nil
		}
		replay(e)
		end += int64(len(line))
	}
}

func (j *journal) write(value any) error {
	if j == nil {
		return nil
	}
	line, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("keeping the state of the count: %w", err)
	}
	return nil
}

func (j *journal) close() error {
	if j == nil {
		return nil
	}
	return j.file.Close()
}
