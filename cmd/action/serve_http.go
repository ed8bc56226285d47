package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/org/nixery-action/internal/serve"
	"github.com/org/nixery-action/internal/serve/front"
	"github.com/org/nixery-action/internal/serve/settings"
)

// What a client may take, before a handler has its request. What comes after is the handlers' own business: a build may take its time.
const (
	headerTime   = 10 * time.Second
	idleTime     = 2 * time.Minute
	largestHeads = 32 << 10
)

// listening is a server between its first client and its last.
type listening struct {
	*console
	settings settings.Settings
	handler  http.Handler
	server   *serve.Server
	ready    *front.Readiness
}

// run serves until ctx ends. Then builds end at once, and downloads may go on for a while.
func (l *listening) run(ctx context.Context, storage string) error {
	address := net.JoinHostPort(l.settings.Address, strconv.Itoa(l.settings.Port))
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening: %w; choose another --address or --port", err)
	}
	web := newWeb(l.handler, l.log)
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(listener) }()
	source, _, _ := l.server.Source()
	l.log.Info("serving", "address", listener.Addr().String(), "source", source, "storage", storage, "version", version)
	fmt.Fprintln(l.stdout, listener.Addr())
	select {
	case err := <-ended:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
		return l.leave(web)
	}
}

// newWeb bounds what clients may take and send before a handler has their request.
func newWeb(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: largestHeads,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// leave ends in time, whatever clients do.
func (l *listening) leave(web *http.Server) error {
	l.ready.Leave()
	l.log.Info("shutting down", "grace", l.settings.Grace.String())
	ctx, cancel := context.WithTimeout(context.Background(), l.settings.Grace)
	defer cancel()
	builds := make(chan error, 1)
	go func() { builds <- l.server.Close(ctx) }()
	err := web.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(fmt.Errorf("some downloads did not end within %s, and were cut", l.settings.Grace), web.Close())
	}
	return errors.Join(err, <-builds)
}
