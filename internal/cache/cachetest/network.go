package cachetest

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Network returns a transport by which every host is the handler. It is real HTTP over pipes, so that it works under synctest, where
// waiting takes no time.
func Network(t *testing.T, handler http.Handler) *http.Transport {
	t.Helper()
	listener := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(listener) }()
	transport := &http.Transport{DialContext: listener.dial}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		<-served
	})
	return transport
}

type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// Fault answers some of the requests that have part in their method and path: the nth, counted from one, or all from there on.
type Fault struct {
	Part   string
	Nth    int
	Onward bool
	Answer http.HandlerFunc

	seen int
}

// Front records requests, and answers with faults what they are for.
type Front struct {
	Inner http.Handler

	mu       sync.Mutex
	Requests []string
	Faults   []*Fault
}

func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if answer := f.note(r); answer != nil {
		answer(w, r)
		return
	}
	f.Inner.ServeHTTP(w, r)
}

func (f *Front) note(r *http.Request) http.HandlerFunc {
	f.mu.Lock()
	defer f.mu.Unlock()
	request := r.Method + " " + r.URL.Path
	if comp := r.URL.Query().Get("comp"); comp != "" {
		request += "?" + comp
	}
	f.Requests = append(f.Requests, request)
	for _, fault := range f.Faults {
		if !strings.Contains(request, fault.Part) {
			continue
		}
		fault.seen++
		if fault.seen == fault.Nth || fault.Onward && fault.seen >= fault.Nth {
			return fault.Answer
		}
	}
	return nil
}

func (f *Front) Add(faults ...*Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Faults = append(f.Faults, faults...)
}

// Matching returns the requests so far that hold part.
func (f *Front) Matching(part string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.Requests), func(r string) bool { return !strings.Contains(r, part) })
}

// Status answers with a status and a body, after having read the request.
func Status(code int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// Silence never answers.
func Silence(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// HangUp breaks the connection before an answer.
func HangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
