package cli

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/blobstore"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/progress"
	"github.com/org/nixery-action/internal/scratch"
	"github.com/org/nixery-action/internal/serve"
	"github.com/org/nixery-action/internal/serve/settings"
	"github.com/org/nixery-action/internal/serve/web"
	"github.com/org/nixery-action/internal/spec"
)

// serveImages serves until ctx ends.
func serveImages(ctx context.Context, c *console, s settings.Settings) error {
	structured := c.logAs(s.LogFormat)
	var users *web.Users
	var err error
	if s.Htpasswd != "" {
		if users, err = web.ReadUsers(s.Htpasswd); err != nil {
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
	metrics := web.NewMetrics(version)
	store, err := blobstore.Open(ctx, s.Storage, blobstore.Options{
		TempDir: temp.Path(), Redirect: s.Redirect, MinFree: s.MinFree, Wrote: metrics.Stored, Log: c.log,
	})
	if err != nil {
		return err
	}
	defer store.Close()
	if err := checkAtStart(ctx, store); err != nil {
		return interrupted(ctx, err)
	}
	runner, err := newNix(c)
	if err != nil {
		return err
	}
	if err := checkBuilders(ctx, c.log, s, runner); err != nil {
		return interrupted(ctx, err)
	}
	server, err := newServer(c, s, store, temp.Path(), metrics.Hooks(), runner)
	if err != nil {
		return err
	}
	metrics.Watch(server.Load)
	ready := web.NewReadiness(c.log, web.Check{Name: "storage", Do: store.Ready}, web.Check{Name: "Nix", Do: nixIsThere},
		web.Check{Name: "disk", Do: diskHasRoom(s.MinFree, temp.Path(), nix.StoreDir)})
	handler := web.Handler(web.Options{
		Registry: server.Handler(), Metrics: metrics, Ready: ready, Users: users, Log: c.log, Structured: structured,
		Hosts: web.NewHosts(s.Hosts, !s.LoopbackOnly()), Clients: clientsOf(s, c.log),
		Page: web.NewPage(web.PageOptions{Version: version, Builds: server.Builds, Source: server.Source, Allow: s.Allow}),
	})
	l := &listening{console: c, settings: s, handler: handler, server: server, ready: ready}
	return l.run(ctx, store.String())
}

// newServer is the registry on this machine's Nix and store, with links in temp.
func newServer(c *console, s settings.Settings, store *blobstore.Store, temp string, hooks serve.Hooks, nixes nixbuild.Exec) (*serve.Server, error) {
	created, err := sourceDateEpoch(os.Getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return nil, err
	}
	runner := func(hear func(string), moved func(nixbuild.Progress)) nixbuild.Runner {
		runner := nixes
		runner.Stderr, runner.Moved = hear, moved
		return strictSandbox{runner}
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
		Blobs: store, Runner: runner, Store: nixbuild.NewStore(nix.StoreDir), Source: s.Nixpkgs, Layers: layers, Created: created, TempDir: temp,
		Commits: s.Commits, GitHubAPI: s.GitHubAPI, Packages: s.Packages, Confinement: confinementOf(s),
		Architectures: s.Architectures, Allow: s.Allow, Builds: s.Builds, Queue: queue, Share: s.Share, CacheKey: key, Timeout: s.Timeout, Fresh: s.Fresh, Log: c.log, Hooks: hooks,
	})
}

// clientsOf is nil where all clients are programs of this machine, which no address tells apart.
func clientsOf(s settings.Settings, log *slog.Logger) *web.Clients {
	if s.LoopbackOnly() && s.Htpasswd == "" && len(s.Proxies) == 0 {
		return nil
	}
	return web.NewClients(s.Proxies, log)
}

// diskHasRoom checks the disks that a build needs beside the storage's.
func diskHasRoom(minFree int64, dirs ...string) func(context.Context) error {
	return func(context.Context) error {
		var errs []error
		for _, dir := range dirs {
			errs = append(errs, blobstore.HasRoom(dir, minFree))
		}
		return errors.Join(errs...)
	}
}

// checkAtStart finds out at once what would make every pull fail.
func checkAtStart(ctx context.Context, store *blobstore.Store) error {
	if err := store.Ready(ctx); err != nil {
		return err
	}
	// Signing does not check that the blob exists.
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
		c.log = slog.New(web.NewTextLog(c.log.Handler()))
		return false
	}
	c.log = slog.New(web.NewLog(c.stderr, c.level, version))
	return true
}
