// Package web puts around a registry what a deployment of it needs: a page for people, health and metrics for machines,
// passwords, and a log of requests. It stands apart so that the registry itself stays the protocol and nothing else.
//
// The invariant: a client without the password learns that the server exists and works, and no more.
package web

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// Options are the parts of a server; Registry, Page, Metrics, Ready and Log must be given.
type Options struct {
	Registry http.Handler // what is at /v2 and below
	Page     http.Handler // what is at /
	Metrics  *Metrics
	Ready    *Readiness
	Hosts    *Hosts   // that requests may be for; nil for all
	Clients  *Clients // have shares of the registry's queue; nil gives all the same
	// Users may pull, and see page and metrics: these show what others pull, too. Nil lets every request pass.
	// Health has no password: probes have none.
	Users *Users
	Log   *slog.Logger
	// Structured puts requests into the log in the fields that Google's log service knows, besides in words.
	Structured bool
}

// Handler answers everything. It is not an http.ServeMux, which would redirect paths with // or .. below /v2, where clients want a
// registry's answer.
func Handler(o Options) http.Handler {
	metrics := o.Metrics.handler()
	registry := noWebPages(o.Registry)
	inside := o.Clients.name(o.Users.guard(o.Clients, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case path == "/v2" || strings.HasPrefix(path, "/v2/"):
			registry.ServeHTTP(w, r)
		case path == "/metrics":
			get(metrics).ServeHTTP(w, r)
		case path == "/":
			get(o.Page).ServeHTTP(w, r)
		default:
			http.NotFound(w, r)
		}
	})))
	all := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/healthz":
			get(http.HandlerFunc(alive)).ServeHTTP(w, r)
		case "/readyz":
			get(o.Ready).ServeHTTP(w, r)
		default:
			inside.ServeHTTP(w, r)
		}
	})
	return logged(o, o.Hosts.guard(all))
}

func isHealth(path string) bool { return path == "/healthz" || path == "/readyz" }

// get lets nothing else pass.
func get(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "there is nothing to change here", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// recorder remembers what was answered. http.ResponseController sees through it.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// logged logs every request when it has been answered, and counts it. Health and metrics are asked for all day long, and are
// logged at debug level only.
func logged(o Options, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		rec := &recorder{ResponseWriter: w}
		rec.Header().Set("X-Content-Type-Options", "nosniff")
		rec.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		if r.ContentLength != 0 {
			// No handler reads a body. The server would, to reuse the connection, and wait for slow ones.
			rec.Header().Set("Connection", "close")
		}
		defer func() {
			value := recover()
			o.tell(r, rec, time.Since(began), value)
			if value != nil {
				panic(http.ErrAbortHandler) // the connection ends, so that the client sees that the answer is cut
			}
		}()
		next.ServeHTTP(rec, r)
	})
}

// tell logs an answer, and counts it. A handler that panicked is a mistake of this program, unless that is its way to cut an answer.
func (o Options) tell(r *http.Request, rec *recorder, took time.Duration, panicked any) {
	o.Metrics.request(r, rec.status, took)
	log := o.Log
	if o.Structured {
		log = log.With(o.httpRequest(r, rec, took))
	}
	if rec.status == http.StatusMisdirectedRequest {
		log = log.With("host", cut(r.Host))
	}
	// The path as it was sent: decoded, it may hold a newline and what looks like another line of the log.
	text := fmt.Sprintf("%s %s: %d, %d bytes in %.3f s", r.Method, r.URL.EscapedPath(), rec.status, rec.bytes, took.Seconds())
	switch panicked {
	case nil:
		log.Log(r.Context(), levelOf(r.URL.Path), text)
	case http.ErrAbortHandler:
		log.Warn(text + ", and was cut")
	default:
		log.Error(text, "cause", fmt.Sprint("panic: ", panicked), "stack_trace", fmt.Sprintf("panic: %v\n\n%s", panicked, debug.Stack()))
	}
}

func levelOf(path string) slog.Level {
	if strings.HasPrefix(path, "/v2") || path == "/" {
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// httpRequest has the names that Google's log service knows:
// https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#HttpRequest. A query is left out: it might hold a secret.
func (o Options) httpRequest(r *http.Request, rec *recorder, took time.Duration) slog.Attr {
	return slog.Group("httpRequest",
		"requestMethod", r.Method, "requestUrl", r.URL.EscapedPath(), "status", rec.status,
		"responseSize", strconv.FormatInt(rec.bytes, 10), "userAgent", r.UserAgent(), "remoteIp", o.remoteIP(r), "protocol", r.Proto,
		"latency", strconv.FormatFloat(took.Seconds(), 'f', -1, 64)+"s")
}

func (o Options) remoteIP(r *http.Request) string {
	if at := o.Clients.address(r); at.IsValid() {
		return at.String()
	}
	return r.RemoteAddr
}
