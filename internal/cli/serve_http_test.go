package cli

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// webForTest is a server as it is run, with less patience.
func webForTest(t *testing.T) (address string) {
	t.Helper()
	web := newWeb(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }), slog.New(slog.DiscardHandler))
	if web.ReadHeaderTimeout <= 0 || web.ReadHeaderTimeout > time.Minute || web.IdleTimeout <= 0 || web.MaxHeaderBytes <= 0 {
		t.Errorf("clients are waited for %s, then %s, and may send %d bytes of headers", web.ReadHeaderTimeout, web.IdleTimeout, web.MaxHeaderBytes)
	}
	web.ReadHeaderTimeout, web.IdleTimeout = min(web.ReadHeaderTimeout, 300*time.Millisecond), min(web.IdleTimeout, 300*time.Millisecond)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = web.Serve(listener) }()
	t.Cleanup(func() { web.Close() })
	return listener.Addr().String()
}

// A client that sends half of its headers, or nothing after its first request, is let go; others are served meanwhile.
func TestSlowHeaders(t *testing.T) {
	address := webForTest(t)
	for _, begin := range []string{"", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, begin); err != nil {
			t.Fatal(err)
		}
		answer, err := http.Get("http://" + address)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after %q the connection is still open", begin)
		}
	}
}

func TestLongHeaders(t *testing.T) {
	request, err := http.NewRequest(http.MethodGet, "http://"+webForTest(t), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Long", strings.Repeat("x", 2*maxHeaders))
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %s", answer.Status)
	}
}
