package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long the runner waits between SIGINT and the end: 7.5 s, and
// 2.5 s more after SIGTERM.
const patience = 10 * time.Second

// interrupts runs a program, sends it SIGINT as soon as FILE exists, and wants
// it to end in time, with exit code 1, and no process of its to be left:
//
//	interrupts FILE PROGRAM [ARG…]
func interrupts(ts *testscript.TestScript, neg bool, args []string) {
	signals(ts, neg, syscall.SIGINT, args)
}

// terminates is interrupts with SIGTERM.
func terminates(ts *testscript.TestScript, neg bool, args []string) {
	signals(ts, neg, syscall.SIGTERM, args)
}

func signals(ts *testscript.TestScript, neg bool, signal syscall.Signal, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: interrupts|terminates FILE PROGRAM [ARG…]")
	}
	pidFile := filepath.Join(ts.Getenv("WORK"), ".pid")
	ended := make(chan struct{})
	signalled := make(chan time.Time, 1)
	go func() { signalled <- signalWhen(signal, ts.MkAbs(args[0]), pidFile, ended) }()
	// The shell becomes the program, and keeps its number.
	run := append([]string{"-c", `echo $$ >"$0"; exec "$@"`, pidFile}, args[1:]...)
	code, err := exitCode(ts.Exec("/bin/sh", run...))
	close(ended)
	ts.Check(err)
	at := <-signalled
	switch took := time.Since(at); {
	case at.IsZero():
		ts.Fatalf("it ended with %d before %s was there", code, args[0])
	case took > patience:
		ts.Fatalf("it ended %s after the signal; the runner kills after %s", took, patience)
	case code != 1:
		ts.Fatalf("exit code %d, want 1", code)
	}
	noSecrets(ts)
	ts.Check(os.Remove(pidFile))
	ts.Check(allGone(ts.Getenv("WORK")))
}

// signalWhen returns when it sent the signal, or the zero time if the
// program ended first.
func signalWhen(signal syscall.Signal, file, pidFile string, ended <-chan struct{}) time.Time {
	for {
		select {
		case <-ended:
			return time.Time{}
		case <-time.After(10 * time.Millisecond):
		}
		if _, err := os.Stat(file); err != nil {
			continue
		}
		text, _ := os.ReadFile(pidFile)
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			_ = syscall.Kill(pid, signal)
			return time.Now()
		}
	}
}

// allGone tells whether there is a process left that knows the script's directory
// from its environment. Those that were killed may take a moment to go.
func allGone(work string) error {
	var left []string
	for range 500 {
		if left = processesOf(work); len(left) == 0 {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("still running: %s", strings.Join(left, "; "))
}

func processesOf(work string) []string {
	var found []string
	environments, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range environments {
		environment, _ := os.ReadFile(file)
		if bytes.Contains(environment, []byte(work)) {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// empty wants directories with nothing in them:
//
//	empty DIR…
func empty(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: empty DIR…")
	}
	for _, dir := range args {
		entries, err := os.ReadDir(ts.MkAbs(dir))
		ts.Check(err)
		if len(entries) > 0 {
			ts.Fatalf("%s holds %v", dir, entries)
		}
	}
}
