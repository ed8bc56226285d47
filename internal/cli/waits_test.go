package cli

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// special makes a named pipe that no process writes to, and a socket:
//
//	special PIPE SOCKET
func special(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: special PIPE SOCKET")
	}
	ts.Check(syscall.Mkfifo(ts.MkAbs(args[0]), 0o600))
	descriptor, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	ts.Check(err)
	ts.Defer(func() { syscall.Close(descriptor) })
	ts.Check(syscall.Bind(descriptor, &syscall.SockaddrUnix{Name: ts.MkAbs(args[1])}))
}

// silent starts a server that accepts connections and never says a word. Its
// address goes into the variable NAME, and FILE exists as soon as it was called:
//
//	silent NAME FILE
func silent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: silent NAME FILE")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], listener.Addr().String())
	ts.Defer(func() { listener.Close() })
	file := ts.MkAbs(args[1])
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			defer connection.Close()
			_ = os.WriteFile(file, nil, 0o600)
		}
	}()
}

// Standard input that stays open and silent is waited for as long as the context.
func TestClosureFromSilentInput(t *testing.T) {
	in, silence, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer silence.Close()
	stdin := os.Stdin
	os.Stdin = in
	defer func() { os.Stdin = stdin }()
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := readClosure(ctx, "-")
		ended <- err
	}()
	cancel(cause)
	select {
	case err := <-ended:
		if !errors.Is(err, cause) {
			t.Errorf("got %v", err)
		}
	case <-time.After(patience):
		t.Error("it waits on")
	}
}
