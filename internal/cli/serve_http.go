package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/org/nixery-action/internal/serve"
	"github.com/org/nixery-action/internal/serve/settings"
	"github.com/org/nixery-action/internal/serve/web"
)

// What a client may take, before a handler has its request. What comes after is the handlers' own business: a build may take its time.
const (
	headerTime = 10 * time.Second
	idleTime   = 2 * time.Minute
	maxHeaders = 32 << 10
)

// listening is a server between its first client and its last.
type listening struct {
	*console
	settings settings.Settings
	handler  http.Handler
	server   *serve.Server
	ready    *web.Readiness
}

// run serves until ctx ends. Then it is not ready, but takes requests for a while; after that, builds end at once, and downloads may go
// on for another while.
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
	l.tellExposure()
	fmt.Fprintln(l.stdout, listener.Addr())
	select {
	case err := <-ended:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	impatient, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	return l.leave(impatient, web)
}

// tellExposure says at the start whom the settings let in.
func (l *listening) tellExposure() {
	s := l.settings
	switch {
	case s.LoopbackOnly() && len(s.Hosts) == 0:
		l.log.Info("only this machine can reach the server; --public, or --address with --htpasswd, lets others in")
	case s.Public && s.Htpasswd == "" && len(s.Hosts) == 0:
		l.log.Warn("all who reach the server can have images built, and requests under any name are served; --htpasswd and --host restrict that")
	}
}

// newWeb bounds what clients may take and send before a handler has their request.
func newWeb(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeaders,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// leave ends in time, whatever clients do, and at once when impatient ends.
func (l *listening) leave(impatient context.Context, web *http.Server) error {
	l.ready.Leave()
	l.log.Info("shutting down", "delay", l.settings.ShutdownDelay.String(), "grace", l.settings.Grace.String())
	web.SetKeepAlivesEnabled(false) // clients that ask again find another server, if there is one
	select {
	case <-time.After(l.settings.ShutdownDelay):
	case <-impatient.Done():
	}
	l.log.Info("waiting for downloads to end", "grace", l.settings.Grace.String())
	grace, cancel := context.WithTimeout(impatient, l.settings.Grace)
	defer cancel()
	builds := make(chan error, 1)
	go func() { builds <- l.closeBuilds(grace) }()
	err := web.Shutdown(grace)
	switch {
	case impatient.Err() != nil:
		err = errors.Join(errors.New("a second signal came: downloads and builds were cut"), web.Close())
	case errors.Is(err, context.DeadlineExceeded):
		err = errors.Join(fmt.Errorf("some downloads did not end within %s, and were cut", l.settings.Grace), web.Close())
	}
	return errors.Join(err, <-builds)
}

// endTime is what the processes of builds have to end in after a second signal.
const endTime = time.Second

func (l *listening) closeBuilds(grace context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(grace), l.settings.Grace)
	defer cancel()
	defer context.AfterFunc(grace, func() { time.AfterFunc(endTime, cancel) })()
	return l.server.Close(ctx)
}
