package main

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
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
	request.Header.Set("X-Long", strings.Repeat("x", 2*largestHeads))
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %s", answer.Status)
	}
}

// Folders of the living stay, those of the dead go, and so does nothing else.
func TestServerFolder(t *testing.T) {
	dir := t.TempDir()
	var log strings.Builder
	quiet := slog.New(slog.NewTextHandler(&log, nil))
	living, err := openServerFolder(dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	dead, outside := filepath.Join(dir, serverPrefix+"1"), filepath.Join(dir, "outside")
	for _, err := range []error{
		os.MkdirAll(filepath.Join(dead, "nixery-action-2"), 0o755), os.Symlink("/nix/store", filepath.Join(dead, "nixery-action-2/roots")),
		os.Mkdir(outside, 0o755), os.WriteFile(filepath.Join(outside, "file"), nil, 0o600), os.Symlink(outside, filepath.Join(dead, "away")),
		os.Symlink(outside, filepath.Join(dir, serverPrefix+"link")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	next, err := openServerFolder(dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dead); !errors.Is(err, os.ErrNotExist) || !strings.Contains(log.String(), dead) {
		t.Errorf("the dead one's folder is there (%v), log %s", err, log.String())
	}
	for _, there := range []string{living.path, next.path, filepath.Join(outside, "file")} {
		if _, err := os.Stat(there); err != nil {
			t.Error(err)
		}
	}
	if err := errors.Join(living.Close(), next.Close()); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, serverPrefix+"*")); err != nil || len(left) != 1 {
		t.Errorf("what is left is %v (%v)", left, err)
	}
}
