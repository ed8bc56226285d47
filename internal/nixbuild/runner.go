package nixbuild

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Runner runs one of Nix's programs, or git. args[0] is the program's name, as
// nix-instantiate, nix-build or nix-store. What it prints on stdout comes back
// whole; a program that ends badly gives an [*ExitError], and one that is not
// there [ErrNoNix]. Implementations may be used by many goroutines.
type Runner interface {
	Run(ctx context.Context, args ...string) (stdout []byte, err error)
}

// ErrNoNix says that Nix is not installed, and how to get it.
//
//lint:ignore ST1005 Nix is a name, and the last line ends what is quoted
var ErrNoNix = errors.New(`Nix is not on this machine; in a workflow, add these two lines before this step:
      - name: Install Nix
        uses: cachix/install-nix-action@v31
elsewhere, add --install-nix to build, or install it from https://nixos.org/download`)

// ExitError is a program that ran and ended badly.
type ExitError struct {
	Program string
	Status  string   // as in "exit status 1" or "signal: killed"
	Stderr  []string // its last lines, oldest first, at most a few hundred
}

func (e *ExitError) Error() string {
	head := fmt.Sprintf("%s: %s", e.Program, e.Status)
	lines := e.Stderr[max(0, len(e.Stderr)-shownLines):]
	return strings.Join(append([]string{head}, lines...), "\n")
}

const (
	maxStdout = 256 << 20 // bytes: the names of all of nixpkgs are one
	keptLines = 400       // of stderr, enough for a stack trace and its cause
	maxLine   = 64 << 10  // bytes
	// A cancelled job has 7.5 s between the runner's SIGINT and its SIGTERM.
	defaultGrace = 5 * time.Second
)

// shownLines is how much of a program's stderr an error's text repeats.
const shownLines = 25

// Exec is the [Runner] that starts processes. They get of this process's environment
// what Nix and git need, see [Passed], and nothing else.
type Exec struct {
	Pass   []string          // names of further variables that they get
	Env    []string          // variables that they get with these values, as KEY=VALUE
	Dir    string            // working directory; empty for this process's own
	Stdin  *os.File          // nil for none; the caller closes it
	Stderr func(line string) // gets each line of stderr as it comes, from one goroutine a call; may be nil
	Moved  func(Progress)    // gets what [Evaluate] and [Realise] can tell of themselves, from the same goroutine; may be nil
	Grace  time.Duration     // between the SIGINT that a cancelled context sends and SIGKILL; 0 for 5 s

	maxStdout int // bytes, for tests; 0 for the constant
}

// Run implements [Runner]. Both pipes are drained all the time. A cancelled
// context ends the process and all of its process group, and the error is then
// the context's cause.
func (e Exec) Run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	stdout := &cappedBuffer{limit: cmp.Or(e.maxStdout, maxStdout)}
	last := &tail{limit: keptLines}
	stderr := &lineWriter{limit: maxLine, emit: e.listen(args, func(line string) {
		last.add(line)
		if e.Stderr != nil {
			e.Stderr(line)
		}
	})}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if e.Stdin != nil { // a nil *os.File in cmd.Stdin would not be nil
		cmd.Stdin = e.Stdin
	}
	cmd.Dir = e.Dir
	var secret string
	cmd.Env, secret = environment(cmd.Environ(), e.Pass, slices.Concat(e.Env, variablesOf(ctx)))
	e.ownGroup(cmd)

	err := run(ctx, cmd, secret)
	stderr.flush()
	switch {
	case ctx.Err() != nil:
		killGroup(cmd)
		return nil, fmt.Errorf("%s: %w", args[0], context.Cause(ctx))
	case stdout.full:
		return nil, fmt.Errorf("%s: printed more than %d bytes", args[0], stdout.limit)
	case errors.Is(err, exec.ErrWaitDelay):
		// It ended well; some child of its (git's housekeeping) holds the pipe.
		return stdout.buf.Bytes(), nil
	case boundsOf(ctx).usedUp(cmd.ProcessState):
		return nil, &ExitError{Program: args[0], Status: outOfTime, Stderr: last.lines()}
	}
	return stdout.buf.Bytes(), runError(args[0], last.lines(), err)
}

// run runs cmd. The process ends when this one does, however that is: it is told to by the kernel,
// which asks for the thread that started it to stay.
func run(ctx context.Context, cmd *exec.Cmd, secret string) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if secret != "" {
		settings, err := secretPipe(secret)
		if err != nil {
			return err
		}
		defer settings.Close()
		cmd.ExtraFiles = []*os.File{settings}
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	return errors.Join(hold(ctx, cmd), cmd.Wait())
}

// hold bounds a process that has just begun as its context says, or ends it.
func hold(ctx context.Context, cmd *exec.Cmd) error {
	err := boundsOf(ctx).hold(cmd.Process.Pid)
	if errors.Is(err, syscall.ESRCH) {
		return nil // it has ended already
	}
	if err != nil {
		killGroup(cmd)
	}
	return err
}

// listen is what takes the lines of stderr, and gives those for people to hear.
func (e Exec) listen(args []string, hear func(string)) func(line string) {
	if !slices.Contains(args, journalFormat[1]) {
		return hear
	}
	moved := e.Moved
	if moved == nil {
		moved = func(Progress) {}
	}
	return newJournal(hear, moved).read
}

// ownGroup makes cmd the leader of a process group, so that a signal reaches
// what it starts as well, and a terminal's Ctrl-C comes by way of the context
// only.
func (e Exec) ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	endWithParent(cmd.SysProcAttr)
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = cmp.Or(e.Grace, defaultGrace)
}

// killGroup ends what is left of the group after its leader was waited for.
func killGroup(cmd *exec.Cmd) {
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
}

func runError(program string, stderr []string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, exec.ErrNotFound) && program == "git" {
		return errors.New("running git: it is not on this machine, and is needed to resolve a branch and to read a checkout; install it, or give a rev")
	}
	if errors.Is(err, exec.ErrNotFound) && strings.HasPrefix(program, "nix") {
		return fmt.Errorf("running %s: %w", program, ErrNoNix)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &ExitError{Program: program, Status: exit.Error(), Stderr: stderr}
	}
	return fmt.Errorf("running %s: %w", program, err)
}
