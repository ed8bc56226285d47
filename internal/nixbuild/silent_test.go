package nixbuild

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

// Servers that accept and say nothing are waited for as long as the context.
func TestPinOfASilentServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	called := make(chan net.Conn, 8)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			called <- connection
		}
	}()
	address := "http://" + listener.Addr().String()
	for name, src := range map[string]Source{
		"channel": {Channel: "c", ChannelBase: address},
		"git":     {Git: &Git{URL: address + "/x.git"}},
	} {
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, _, err := Pin(ctx, Exec{Grace: time.Second}, src)
			ended <- err
		}()
		connection := <-called
		cancel(cause)
		select {
		case err := <-ended:
			if !errors.Is(err, cause) {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s: it waits on", name)
		}
		connection.Close()
	}
}
