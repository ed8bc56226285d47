package nixbuild

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestExecDrainsBothPipes(t *testing.T) {
	// More than a pipe holds, on each, one after the other and back.
	script := `i=0; while [ $i -lt 3000 ]; do echo "a line on stderr, number $i, of many" >&2; i=$((i+1)); done
		i=0; while [ $i -lt 3000 ]; do echo "a line on stdout, number $i, of many"; i=$((i+1)); done; echo end >&2`
	var seen []string
	out, err := Exec{Stderr: func(line string) { seen = append(seen, line) }}.Run(t.Context(), "sh", "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(out), "\n"); n != 3000 {
		t.Errorf("%d lines on stdout", n)
	}
	if len(seen) != 3001 || seen[3000] != "end" || seen[0] != "a line on stderr, number 0, of many" {
		t.Errorf("%d lines on stderr", len(seen))
	}
}

func TestExecError(t *testing.T) {
	_, err := Exec{}.Run(t.Context(), "sh", "-c", `i=1; while [ $i -le 1000 ]; do echo "line $i" >&2; i=$((i+1)); done; printf 'and a half' >&2; exit 3`)
	var exit *ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("error is %v", err)
	}
	if len(exit.Stderr) != keptLines || exit.Stderr[keptLines-1] != "and a half" || exit.Stderr[keptLines-2] != "line 1000" {
		t.Errorf("kept %d lines, last %q", len(exit.Stderr), exit.Stderr[len(exit.Stderr)-1])
	}
	mustContain(t, err.Error(), "sh: exit status 3\nline 977\n", "line 1000\nand a half")
}

func TestExecWithoutNix(t *testing.T) {
	_, err := Exec{}.Run(t.Context(), "nix-of-another-world")
	if !errors.Is(err, ErrNoNix) {
		t.Fatalf("error is %v", err)
	}
	mustContain(t, err.Error(), "nix-of-another-world", "- name: Install Nix\n        uses: cachix/install-nix-action@", "--install-nix")
}

func TestExecEnvAndDir(t *testing.T) {
	dir := t.TempDir()
	out, err := Exec{Env: []string{"FOR_NIX=a value"}, Dir: dir}.Run(t.Context(), "sh", "-c", `echo "$FOR_NIX"; pwd -P`)
	if err != nil {
		t.Fatal(err)
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(out); got != "a value\n"+real+"\n" {
		t.Errorf("got %q", got)
	}
}

// Only what is Nix's is missed as Nix.
func TestExecWithoutAnother(t *testing.T) {
	_, err := Exec{}.Run(t.Context(), "program-of-another-world")
	if err == nil || errors.Is(err, ErrNoNix) {
		t.Fatalf("error is %v", err)
	}
	mustContain(t, err.Error(), "running program-of-another-world: ")
}

func TestExecStdin(t *testing.T) {
	file := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(file, []byte("what is read"), 0o644); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if out, err := (Exec{Stdin: in}).Run(t.Context(), "cat"); err != nil || string(out) != "what is read" {
		t.Errorf("got %q, %v", out, err)
	}
	if out, err := (Exec{}).Run(t.Context(), "cat"); err != nil || len(out) > 0 {
		t.Errorf("got %q, %v without a stdin", out, err)
	}
}

func TestExecBoundsStdout(t *testing.T) {
	// Without a bound this would never end.
	_, err := Exec{maxStdout: 100_000}.Run(t.Context(), "sh", "-c", "while echo more; do :; done")
	if err == nil || !strings.Contains(err.Error(), "printed more than 100000 bytes") {
		t.Errorf("error is %v", err)
	}
}

// A FIFO gives end of file when the last process that holds its other end is
// gone, which is what cancellation promises.
func TestExecCancelEndsTheGroup(t *testing.T) {
	for name, deaf := range map[string]string{"that listens": "", "deaf to SIGINT": `trap "" INT;`} {
		t.Run(name, func(t *testing.T) {
			fifo := filepath.Join(t.TempDir(), "alive")
			if err := syscall.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			ended := make(chan error, 1)
			script := deaf + `exec 3>"$1"; sleep 1000 & echo "child of $$" >&3; wait`
			go func() {
				_, err := Exec{Grace: 50 * time.Millisecond}.Run(ctx, "sh", "-c", script, "sh", fifo)
				ended <- err
			}()
			f, err := os.Open(fifo)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			alive := bufio.NewReader(f)
			if line, err := alive.ReadString('\n'); err != nil {
				t.Fatalf("%q, %v", line, err)
			}
			reason := errors.New("the job was cancelled")
			cancel(reason)
			if err := <-ended; !errors.Is(err, reason) {
				t.Errorf("error is %v", err)
			}
			if rest, err := io.ReadAll(alive); err != nil || len(rest) > 0 {
				t.Errorf("%q, %v", rest, err)
			}
		})
	}
}

func TestExecCancelledBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (Exec{}).Run(ctx, "sh", "-c", "exit 0"); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

func TestLineWriter(t *testing.T) {
	text := "one\ntwo\r\n\n" + strings.Repeat("x", 25) + "\nlast"
	want := []string{"one", "two", "", "xxxxxxxxxx", "xxxxxxxxxx", "xxxxx", "last"}
	for _, size := range []int{1, 3, 7, len(text)} {
		var got []string
		w := &lineWriter{limit: 10, emit: func(line string) { got = append(got, line) }}
		for chunk := range slices.Chunk([]byte(text), size) {
			fmt.Fprintf(w, "%s", chunk)
		}
		w.flush()
		if !slices.Equal(got, want) {
			t.Errorf("in pieces of %d: %q", size, got)
		}
	}
}
