// Package front puts around a registry what a deployment of it needs: a page for people, health and metrics for machines,
// passwords, and a log of requests. It stands apart so that the registry itself stays the protocol and nothing else.
//
// The invariant: whoever has no password, where one is asked for, learns that the server is there and works, and no more.
package web

import (
	"log/slog"
	"net/http"
	"strings"
)

// Options are the parts of a server; Registry, Page, Metrics, Ready and Log must be given.
type Options struct {
	Registry http.Handler // what is at /v2 and below
	Page     http.Handler // what is at /
	Metrics  *Metrics
	Ready    *Readiness
	Hosts    *Hosts   // that requests may be for; nil for all
	Clients  *Clients // have shares of the registry's queue; nil gives all the same
	// Users may pull, and see page and metrics: these tell what others pull, too. Nil asks nobody. Health has no password: those
	// who probe it have none.
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
