package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/org/nixery-action/internal/blobstore"
	"github.com/org/nixery-action/internal/build"
	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/image"
	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/serve/route"
	"github.com/org/nixery-action/internal/spec"
)

// Options configure a server. Blobs, Runner, Store, Source and Log must be given; the zero value of each other field is
// its default.
type Options struct {
	Blobs *blobstore.Store
	// Runner makes the Nix of one build. What it prints on stderr goes to hear, a line at a time, and how far it is to moved.
	Runner func(hear func(line string), moved func(nixbuild.Progress)) nixbuild.Runner
	Store  fs.FS // its root is the one that nix/store lies in
	// Source is where packages come from, if a tag does not say another branch or commit.
	Source spec.Nixpkgs
	// Layers is how images are packed; spec's defaults if its budget is 0.
	Layers  spec.Layers
	Created time.Time // of images; image.Epoch if zero
	TempDir string    // for links that keep packages from the garbage collector; the system's if empty

	// Architectures is what an index has: amd64 and arm64 if empty. The first is given to clients that take no index.
	Architectures []string
	// Allow lists the packages that may be had, as [route.Name.Allowed] reads it. Empty allows all.
	Allow []string
	// Packages is how many a name may have: 64 if 0.
	Packages int
	// Commits lets a tag be a commit of nixpkgs, if the source is a channel. GitHub's API, at GitHubAPI or the official place, is asked
	// whether it is on a branch of nixpkgs. Commits of a git repository are served if one of its branches or tags reaches them.
	Commits   bool
	GitHubAPI string
	// Confinement holds the evaluation of packages. The zero value does not, and is for sources that are trusted entirely.
	Confinement nixbuild.Confinement
	// Builds is how many run at once, 2 if 0; Queue how many may wait, 64 if 0, none if negative; Share how many of these for one
	// Client, 16 if 0; Timeout how long one may take, 30 minutes if 0.
	Builds   int
	Queue    int
	Share    int
	Timeout  time.Duration
	CacheKey cache.Key // authenticates cache snapshots in Blobs; the zero Key does not
	// Fresh is how long a tag stands for what it stood for, before the source is looked at again: 5 minutes if 0. What a
	// commit of the source gave stands for ever.
	Fresh time.Duration
	// Stall is how long a client may take for a chunk of bytes: 1 minute if 0.
	Stall time.Duration
	// Keep is how many builds Builds remembers, beside those under way: 50 if 0.
	Keep int

	Log   *slog.Logger
	Hooks Hooks
}

// Hooks are told what happens. Any may be nil; they are called from many goroutines, and must not wait.
type Hooks struct {
	Ended    func(Build)              // a build has ended, however it did
	Resolved func(remembered bool)    // a tag was looked up; remembered if that took no build
	Sent     func(what Sort, n int64) // bytes went to a client
}

// Sort is a sort of content.
type Sort string

// The sorts of content.
const (
	Manifest Sort = "manifest"
	Blob     Sort = "blob"
)

// Server is a registry to pull from. Its methods may be called from any goroutine.
type Server struct {
	options Options
	secrets []string // of the source
	builds  *builds
	recent  *recent
	pins    *pins
	mirror  *mirror         // of the source, if it is a git repository
	commits *nixpkgsCommits // of nixpkgs
	tables  *tables
}

// New returns a server. It starts nothing: the first build is that of the first client.
func New(o Options) (*Server, error) {
	if o.Blobs == nil || o.Runner == nil || o.Store == nil || o.Log == nil {
		return nil, errors.New("serving images: a blobstore, a runner, a store and a log are needed")
	}
	o = o.withDefaults()
	for _, a := range o.Architectures {
		if !slices.Contains(route.Architectures, a) {
			return nil, fmt.Errorf("serving images: architecture %q is not one of %s", a, strings.Join(route.Architectures, ", "))
		}
	}
	s := &Server{
		options: o,
		secrets: secretsOf(o.Source),
		recent:  &recent{store: o.Blobs, fresh: o.Fresh, now: time.Now, all: map[string]answer{}},
		pins:    &pins{fresh: o.Fresh, now: time.Now, log: o.Log, all: map[string]*pin{}},
		tables:  newTables(),
		commits: newCommits(o.GitHubAPI, o.Source.Channel),
	}
	if o.Source.Git != nil {
		s.mirror = newMirror(o.Source.Git.URL, o.TempDir)
	}
	s.builds = &builds{
		make: s.make, ended: s.buildEnded, describe: s.describe, maxRunning: o.Builds, queue: max(o.Queue, 0), share: o.Share, keep: o.Keep, timeout: o.Timeout,
		under: map[query]*job{},
	}
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.Layers.Budget == 0 {
		o.Layers = spec.DefaultLayers()
	}
	if o.Created.IsZero() {
		o.Created = image.Epoch
	}
	if len(o.Architectures) == 0 {
		o.Architectures = route.Architectures
	}
	o.Packages = cmp.Or(o.Packages, 64)
	o.GitHubAPI = cmp.Or(o.GitHubAPI, officialAPI)
	o.Builds = cmp.Or(o.Builds, 2)
	o.Queue = cmp.Or(o.Queue, 64)
	o.Share = cmp.Or(o.Share, 16)
	o.Keep = cmp.Or(o.Keep, 50)
	o.Timeout = cmp.Or(o.Timeout, 30*time.Minute)
	o.Fresh = cmp.Or(o.Fresh, 5*time.Minute)
	o.Stall = cmp.Or(o.Stall, time.Minute)
	return o
}

// buildEnded logs that a build has ended.
func (s *Server) buildEnded(b Build) {
	log := s.options.Log.With("build", b.Serial, "image", b.Name+":"+b.Tag, "architectures", b.Architectures, "format", b.Format)
	if !b.Began.IsZero() {
		log = log.With("seconds", b.Ended.Sub(b.Began).Seconds())
	}
	switch b.Phase {
	case Done:
		log.Info("built", "digest", b.Digest.String(), "source", b.Pinned)
	case Abandoned:
		log.Info("the build was given up", "cause", b.Err)
	default:
		log.Warn("the build failed", "phase", string(b.Phase), "cause", b.Err)
	}
	if s.options.Hooks.Ended != nil {
		s.options.Hooks.Ended(b)
	}
}

// Close ends all builds, and waits for them until ctx ends. Requests that wait for one are answered 503.
func (s *Server) Close(ctx context.Context) error { return s.builds.close(ctx) }

// Builds lists builds, those under way first and then the last ones, the newest before older ones.
func (s *Server) Builds() []Build { return s.builds.list() }

// Load tells how many builds run, and how many wait for their turn.
func (s *Server) Load() (running, waiting int) { return s.builds.load() }

// Source says what packages are made of, and what that stood for when it was last looked at: by this process, or by one that used
// the same blobstore. Pinned is empty, and the time zero, if nothing is known of that.
func (s *Server) Source() (source, pinned string, when time.Time) {
	pinned, when = s.recent.source()
	return build.Describe(s.options.Source), pinned, when
}
