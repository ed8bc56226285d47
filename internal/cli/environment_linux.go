package cli

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// handedDown is the number of the file that has the environment.
const handedDown = "NIXERY_ENVIRONMENT_FD"

// concealEnvironment keeps other processes of this user, such as builders, from reading this one's environment and memory. The
// kernel shows all the time, in /proc, with which environment a process was started. So the program replaces itself, with an environment that
// holds no secret, and hands its whole environment over in memory; and then it is not dumpable, see prctl(2). An error says
// why that cannot be; all else works all the same. It returns in the new program only, or with an error.
func concealEnvironment() error {
	if text, ok := os.LookupEnv(handedDown); ok {
		if err := os.Unsetenv(handedDown); err != nil {
			return err
		}
		if fd, err := strconv.Atoi(text); err == nil && isHandedDown(fd) {
			return takeEnvironment(fd)
		}
	}
	fd, err := handDown(os.Environ())
	if err != nil {
		return fmt.Errorf("handing the environment over: %w", err)
	}
	env := append(openEnvironment(os.Environ()), fmt.Sprintf("%s=%d", handedDown, fd))
	program, err := os.Executable()
	if err == nil {
		err = syscall.Exec(program, os.Args, env)
	}
	return errors.Join(fmt.Errorf("starting %s again: %w", program, err), syscall.Close(fd), hideMemory())
}

// seals are those of a file that nothing can change.
const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// handDown writes the environment to a file without a name, which exec does not close.
func handDown(environ []string) (fd int, err error) {
	if fd, err = unix.MemfdCreate("nixery-environment", unix.MFD_ALLOW_SEALING); err != nil {
		return 0, err
	}
	for text := []byte(strings.Join(environ, "\x00")); err == nil && len(text) > 0; {
		var n int
		n, err = syscall.Write(fd, text)
		text = text[max(n, 0):]
	}
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	}
	if err != nil {
		return 0, errors.Join(err, syscall.Close(fd))
	}
	return fd, nil
}

func isHandedDown(fd int) bool {
	found, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	return err == nil && found == seals
}

// takeEnvironment sets the variables in this process's memory only.
func takeEnvironment(fd int) error {
	hidden := hideMemory()
	file := os.NewFile(uintptr(fd), "environment")
	text, err := io.ReadAll(io.NewSectionReader(file, 0, math.MaxInt64))
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("taking the environment over: %w", err)
	}
	for pair := range strings.SplitSeq(string(text), "\x00") {
		if name, value, ok := strings.Cut(pair, "="); ok && name != "" {
			if err := os.Setenv(name, value); err != nil {
				return err
			}
		}
	}
	return hidden
}

// hideMemory keeps processes of this user, but root's, out of what /proc has of this one.
func hideMemory() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl: %w", err)
	}
	return nil
}
