package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/blobstore"
	"github.com/org/nixery-action/internal/build"
	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/logline"
	"github.com/org/nixery-action/internal/nixbuild"
	"github.com/org/nixery-action/internal/popularity"
	"github.com/org/nixery-action/internal/progress"
	"github.com/org/nixery-action/internal/spec"
)

// make runs the pipeline for one query, into the depot.
func (s *Server) make(ctx context.Context, j *job) (v1.Hash, error) {
	source, fixed, err := s.tagSource(j.query.tag)
	if err != nil {
		return v1.Hash{}, err
	}
	key, err := s.key(j.query, source)
	if err != nil {
		return v1.Hash{}, err
	}
	report, err := s.runLine(ctx, j, source)
	if err != nil {
		if lasting(err) && ctx.Err() == nil {
			s.recent.remember(key, answer{query: j.query, fault: err, made: time.Now()})
		}
		return v1.Hash{}, err
	}
	// Not when it began: else what took longer to build than a tag stays fresh would be built for ever.
	a := answer{query: j.query, digest: report.Images[0].Digest, source: report.Source.Pinned, made: time.Now(), fixed: fixed}
	s.builds.note(j, func(b *Build) { b.Pinned = a.source })
	if err := s.recent.keep(ctx, key, a); err != nil {
		s.options.Log.Warn("the depot does not remember what a tag stands for", "image", j.query.String(), "cause", err)
	}
	return a.digest, nil
}

func (s *Server) runLine(ctx context.Context, j *job, source spec.Nixpkgs) (*build.Report, error) {
	line := s.newLine(j)
	line.Others = line.Cache.Open(ctx, everyImage)
	hold(line, s.alike(j.query))
	source, err := s.vouch(ctx, line.Runner, j.query, source)
	if err != nil {
		return nil, err
	}
	if source.Path == "" { // a path is looked at by each run: its files may have changed since
		if line.Pinned, err = s.pins.of(ctx, line, source); err != nil {
			return nil, err
		}
	}
	meter := &build.Meter{}
	repository, _ := name.NewRepository("localhost/" + strings.ToLower(j.query.image)) // for the log: an empty one will do
	dest := s.options.Depot.Destination(blobstore.DestinationOptions{Repository: repository, Report: meter.Report, Sent: meter.Sent})
	report, err := line.Run(ctx, source, []build.Order{s.order(j.query)}, []build.Delivery{{Destination: dest}}, meter)
	if err == nil {
		line.Cache.Save(ctx, everyImage, pageOf(report))
	}
	return report, err
}

// everyImage has the records of the layers of all images, so that what two images share is made once.
var everyImage = cache.Identity{Spec: "serve"}

func pageOf(r *build.Report) cache.Snapshot {
	page := cache.NewSnapshot()
	for _, img := range r.Images {
		for _, p := range img.Platforms {
			for _, layer := range p.Layers {
				page.Layers[layer.Key] = layers.Record{DiffID: layer.DiffID, Digest: layer.Digest, Size: layer.Size}
			}
		}
	}
	return page
}

// lasting tells errors that another try right away would meet again: clients try what fails several times.
func lasting(err error) bool {
	return errors.As(err, new(*fault)) || errors.As(err, new(*unreachedError)) || errors.As(err, new(*nixbuild.LimitError)) ||
		errors.As(err, new(*nixbuild.EvaluationError)) || errors.As(err, new(*nixbuild.BuildError)) || errors.As(err, new(*nixbuild.SystemError))
}

// maxRuns is how often one build runs nix-instantiate: to fetch, to evaluate, and to find out which packages fail.
const maxRuns = 8

// newLine is a pipeline of one build's own: what it says goes to the build's log, and with the build's number to the server's.
func (s *Server) newLine(j *job) *build.Line {
	log := slog.New(fork{
		main: s.options.Log.Handler().WithAttrs([]slog.Attr{slog.Int64("build", j.build.Serial), slog.String("image", j.query.String())}),
		own:  logline.NewPlain(j.journal, slog.LevelInfo, false),
	})
	ledgers := []cache.Place{{Store: s.options.Depot.Cache(), Mode: cache.Min}} // the depot has the blobs
	line := &build.Line{
		Store:   s.options.Store,
		Created: s.options.Created,
		TempDir: s.options.TempDir,
		Cache:   cache.New(ledgers, ledgers, log).WithKey(s.options.CacheKey),
		Spec:    "serve",
		// Whoever can push to a branch, or gets a change into nixpkgs, writes what is evaluated here.
		Confinement: s.options.Confinement,
		Load:        s.tables.load,
		Log:         log,
		Display:     progress.New(j.journal, false, nil, time.Now),
	}
	line.Runner = nixbuild.AtMost(s.options.Runner(func(text string) {
		fmt.Fprintln(j.journal, text)
		line.Hear(s.plain(text)) // which shows it, too
	}, line.Follow), maxRuns)
	return line
}

// tables are popularity tables, each loaded once.
type tables struct {
	turn   chan struct{} // holds a token while somebody loads
	loaded map[[2]string]popularity.Table
}

func newTables() *tables {
	return &tables{turn: make(chan struct{}, 1), loaded: map[[2]string]popularity.Table{}}
}

// load waits for its turn only as long as its build has time.
func (t *tables) load(ctx context.Context, where, sum string) (popularity.Table, error) {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return popularity.Table{}, context.Cause(ctx)
	}
	if table, ok := t.loaded[[2]string{where, sum}]; ok {
		return table, nil
	}
	table, err := popularity.Load(ctx, where, sum)
	if err == nil {
		t.loaded[[2]string{where, sum}] = table
	}
	return table, err
}

// secretsOf are what a source's address gives away: in a build's log, Nix and git repeat it.
func secretsOf(source spec.Nixpkgs) []string {
	addresses := []string{source.Flake}
	if source.Git != nil {
		addresses = append(addresses, source.Git.URL)
	}
	var secrets []string
	for _, address := range addresses {
		u, err := url.Parse(strings.TrimPrefix(address, "git+"))
		if err != nil || u.User == nil {
			continue
		}
		secrets = append(secrets, u.User.String())
		if password, ok := u.User.Password(); ok {
			secrets = append(secrets, password)
		} else if u.Scheme != "ssh" {
			secrets = append(secrets, u.User.Username()) // over HTTP a token alone is given so
		}
	}
	return secrets
}
