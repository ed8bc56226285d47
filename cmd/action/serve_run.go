package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/depot"
	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/progress"
	"github.com/org/nixery-action/internal/scratch"
	"github.com/org/nixery-action/internal/serve"
	"github.com/org/nixery-action/internal/serve/front"
	"github.com/org/nixery-action/internal/serve/settings"
	"github.com/org/nixery-action/internal/spec"
)

// serveImages serves until ctx ends.
func serveImages(ctx context.Context, c *console, s settings.Settings) error {
	structured := c.logAs(s.LogFormat)
	var users *front.Users
	var err error
	if s.Htpasswd != "" {
		if users, err = front.ReadUsers(s.Htpasswd); err != nil {
			return usageError{err}
		}
	}
	c.sweep()
	temp, err := scratch.NewDir(c.env.TempDir)
	if err != nil {
		return err
	}
	// A Nix that goes on after its server was killed may make its links later.
	defer c.sweep()
	defer temp.Close()
	metrics := front.NewMetrics(version)
	store, err := depot.Open(ctx, s.Storage, depot.Options{
		TempDir: temp.Path(), Redirect: s.Redirect, MinFree: s.MinFree, Wrote: metrics.Stored, Log: c.log,
	})
	if err != nil {
		return err
	}
	defer store.Close()
	if err := checkAtStart(ctx, store); err != nil {
		return interrupted(ctx, err)
	}
	nix, err := newNix(c)
	if err != nil {
		return err
	}
	if err := checkBuilders(ctx, c.log, s, nix); err != nil {
		return interrupted(ctx, err)
	}
	server, err := newServer(c, s, store, temp.Path(), metrics.Hooks(), nix)
	if err != nil {
		return err
	}
	metrics.Watch(server.Load)
	ready := front.NewReadiness(c.log, front.Check{Name: "storage", Do: store.Ready}, front.Check{Name: "Nix", Do: nixIsThere},
		front.Check{Name: "disk", Do: diskHasRoom(s.MinFree, temp.Path(), nixbuild.StoreDir)})
	handler := front.Handler(front.Options{
		Registry: server.Handler(), Metrics: metrics, Ready: ready, Users: users, Log: c.log, Structured: structured,
		Hosts: front.NewHosts(s.Hosts, !s.LoopbackOnly()), Clients: clientsOf(s, c.log),
		Page: front.NewPage(front.PageOptions{Version: version, Builds: server.Builds, Source: server.Source, Allow: s.Allow}),
	})
	l := &listening{console: c, settings: s, handler: handler, server: server, ready: ready}
	return l.run(ctx, store.String())
}

// newServer is the registry on this machine's Nix and store, with links in temp.
func newServer(c *console, s settings.Settings, store *depot.Depot, temp string, hooks serve.Hooks, nix nixbuild.Exec) (*serve.Server, error) {
	created, err := sourceDateEpoch(os.Getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return nil, err
	}
	runner := func(hear func(string), moved func(nixbuild.Progress)) nixbuild.Runner {
		nix := nix
		nix.Stderr, nix.Moved = hear, moved
		return strictSandbox{nix}
	}
	layers := spec.DefaultLayers()
	layers.Popularity = s.Popularity
	key, err := serverCacheKey(c, s.CacheKeyFile)
	if err != nil {
		return nil, err
	}
	queue := s.Queue
	if queue == 0 {
		queue = -1 // none, where 0 is the default
	}
	return serve.New(serve.Options{
		Depot: store, Runner: runner, Store: nixbuild.NewStore(nixbuild.StoreDir), Source: s.Nixpkgs, Layers: layers, Created: created, TempDir: temp,
		Commits: s.Commits, GitHubAPI: s.GitHubAPI, Packages: s.Packages, Confinement: confinementOf(s),
		Architectures: s.Architectures, Allow: s.Allow, Builds: s.Builds, Queue: queue, Share: s.Share, CacheKey: key, Timeout: s.Timeout, Fresh: s.Fresh, Log: c.log, Hooks: hooks,
	})
}

// clientsOf is nil where all clients are programs of this machine, which no address tells apart.
func clientsOf(s settings.Settings, log *slog.Logger) *front.Clients {
	if s.LoopbackOnly() && s.Htpasswd == "" && len(s.Proxies) == 0 {
		return nil
	}
	return front.NewClients(s.Proxies, log)
}

// diskHasRoom checks the disks that a build needs beside the storage's.
func diskHasRoom(minFree int64, dirs ...string) func(context.Context) error {
	return func(context.Context) error {
		var errs []error
		for _, dir := range dirs {
			errs = append(errs, depot.HasRoom(dir, minFree))
		}
		return errors.Join(errs...)
	}
}

// checkAtStart finds out at once what would make every pull fail.
func checkAtStart(ctx context.Context, store *depot.Depot) error {
	if err := store.Ready(ctx); err != nil {
		return err
	}
	// Signing asks nobody whether the blob is there.
	if _, err := store.SignedURL(ctx, v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)}); err != nil {
		return err
	}
	return nixIsThere(ctx)
}

func nixIsThere(ctx context.Context) error {
	_, err := nixbuild.Exec{}.Run(ctx, "nix-instantiate", "--version")
	return err
}

// logAs chooses how the log is written from here on, and tells whether that is JSON. Secrets are taken out of either.
func (c *console) logAs(format string) (structured bool) {
	terminal, _ := progress.Terminal(os.Stderr, os.Getenv)
	if format == "text" || format == "auto" && terminal {
		c.log = slog.New(front.NewTextLog(c.log.Handler()))
		return false
	}
	c.log = slog.New(front.NewLog(c.stderr, c.level, version))
	return true
}
