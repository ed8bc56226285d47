package serve

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
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
	"github.com/org/nixery-action/internal/popularity/crawl"
	"github.com/org/nixery-action/internal/progress"
	"github.com/org/nixery-action/internal/serve/route"
	"github.com/org/nixery-action/internal/spec"
)

// make builds the image of one query into the blobstore.
func (s *Server) make(ctx context.Context, j *job) (v1.Hash, error) {
	source, fixed, err := s.tagSource(j.query.tag)
	if err != nil {
		return v1.Hash{}, err
	}
	key, err := s.key(j.query, source)
	if err != nil {
		return v1.Hash{}, err
	}
	report, err := s.runBuilder(ctx, j, source)
	if err != nil {
		if lasting(err) && ctx.Err() == nil {
			s.recent.remember(key, answer{query: j.query, err: err, made: time.Now()})
		}
		return v1.Hash{}, err
	}
	// Not when it began: else what took longer to build than a tag stays fresh would be built for ever.
	a := answer{query: j.query, digest: report.Images[0].Digest, source: report.Source.Pinned, made: time.Now(), fixed: fixed}
	s.builds.note(j, func(b *Build) { b.Pinned = a.source })
	if err := s.recent.keep(ctx, key, a); err != nil {
		s.options.Log.Warn("a tag could not be stored, so another process will build it again", "image", j.query.String(), "cause", err)
	}
	return a.digest, nil
}

func (s *Server) runBuilder(ctx context.Context, j *job, source spec.Nixpkgs) (*build.Report, error) {
	line := s.newBuilder(j)
	line.Shared = line.Cache.Open(ctx, everyImage)
	requireSamePackages(line, s.respelled(j.query))
	source, err := s.verifyCommit(ctx, line.Runner, j.query, source)
	if err != nil {
		return nil, err
	}
	if source.Path == "" { // a path is looked at by each run: its files may have changed since
		if line.Pinned, err = s.pins.of(ctx, line, source); err != nil {
			return nil, err
		}
	}
	meter := &build.Stats{}
	repository, _ := name.NewRepository("localhost/" + strings.ToLower(j.query.image)) // for the log: an empty one will do
	dest := s.options.Blobs.Destination(blobstore.DestinationOptions{Repository: repository, Report: meter.AddLayer, Sent: meter.AddBytes})
	report, err := line.Run(ctx, source, []build.Target{s.target(j.query)}, []build.Delivery{{Destination: dest}}, meter)
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
	return errors.As(err, new(*apiError)) || errors.As(err, new(*unreachedError)) || errors.As(err, new(*nixbuild.LimitError)) ||
		errors.As(err, new(*nixbuild.EvaluationError)) || errors.As(err, new(*nixbuild.BuildError)) || errors.As(err, new(*nixbuild.SystemError))
}

// maxRuns is how often one build runs nix-instantiate: to fetch, to evaluate, and to find out which packages fail.
const maxRuns = 8

// newBuilder is a pipeline of one build's own: what it says goes to the build's log, and with the build's number to the server's.
func (s *Server) newBuilder(j *job) *build.Builder {
	log := slog.New(slog.NewMultiHandler(
		logline.NewPlain(j.journal, slog.LevelInfo, false),
		s.options.Log.Handler().WithAttrs([]slog.Attr{slog.Int64("build", j.build.Serial), slog.String("image", j.query.String())}),
	))
	snapshots := []cache.Place{{Store: s.options.Blobs.Cache(), Mode: cache.Min}} // the blobstore has the blobs
	line := &build.Builder{
		Store:   s.options.Store,
		Created: s.options.Created,
		TempDir: s.options.TempDir,
		Cache:   cache.New(snapshots, snapshots, log).WithKey(s.options.CacheKey),
		Spec:    "serve",
		// Whoever can push to a branch, or gets a change into nixpkgs, writes what is evaluated here.
		Confinement: s.options.Confinement,
		LoadTable:   s.tables.load,
		Log:         log,
		Display:     progress.New(j.journal, false, nil, time.Now),
	}
	line.Runner = nixbuild.AtMost(s.options.Runner(func(text string) {
		fmt.Fprintln(j.journal, text)
		line.NixLine(s.plain(text)) // which shows it, too
	}, line.NixProgress), maxRuns)
	return line
}

// tables are popularity tables, each loaded once.
type tables struct {
	turn   // guards loaded
	loaded map[[2]string]popularity.Table
}

func newTables() *tables {
	return &tables{turn: newTurn(), loaded: map[[2]string]popularity.Table{}}
}

// load waits for its turn only as long as its build has time.
func (t *tables) load(ctx context.Context, where, sum string) (popularity.Table, error) {
	if err := t.lock(ctx); err != nil {
		return popularity.Table{}, err
	}
	defer t.unlock()
	if table, ok := t.loaded[[2]string{where, sum}]; ok {
		return table, nil
	}
	table, err := crawl.Load(ctx, where, sum)
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

// query is an image that a client wants. Equal queries share a build.
type query struct {
	image         string // the name, without an architecture
	tag           string
	format        spec.Format
	architectures string // joined by commas
}

// queryOf makes a query of what a client wants and takes. An index is for a client that accepts one and names no architecture.
func (s *Server) queryOf(n route.Name, tag string, t accepted) query {
	q := query{image: n.Image(), tag: tag, format: t.format, architectures: s.options.Architectures[0]}
	switch {
	case n.Architecture() != "":
		q.architectures = n.Architecture()
	case t.index:
		q.architectures = strings.Join(s.options.Architectures, ",")
	}
	return q
}

// String names the image as a client would.
func (q query) String() string { return q.image + ":" + q.tag }

// variant is what of an image the query wants.
func (q query) variant() string { return string(q.format) + " " + q.architectures }

// split lists the architectures.
func (q query) split() []string { return strings.Split(q.architectures, ",") }

// target is the query as the pipeline takes it: what a spec of these packages says.
func (s *Server) target(q query) build.Target {
	return build.Target{Image: spec.Image{
		Name:          q.image,
		Packages:      strings.Split(q.image, "/"),
		Architectures: q.split(),
		Layers:        s.options.Layers,
		Format:        q.format,
	}}
}

// key is all that fixes what a query's answer is at one time. Its fields cannot run into each other, and have the source and the
// architectures among them: in Nixery, arm64/hello after hello was the image for amd64. The source may hold a password, so what it
// is does not show.
func (s *Server) key(q query, source spec.Nixpkgs) (string, error) {
	fields := []any{layers.FormatVersion, source, s.options.Layers, s.options.Created.Unix(), q.image, q.tag, q.variant()}
	if alike := s.respelled(q); len(alike) > 0 { // then the answer is only for those rules
		fields = append(fields, alike)
	}
	raw, err := json.Marshal(fields)
	if err != nil {
		return "", fmt.Errorf("naming %s: %w", q, err)
	}
	return fmt.Sprintf("%s %s %x", q, q.variant(), sha256.Sum256(raw)), nil
}

// notServed is the answer for a package that the settings do not allow.
func notServed(pkg string) *apiError {
	return &apiError{status: http.StatusForbidden, code: denied, message: "this registry does not serve the package " + pkg}
}

// readName reads a name, and refuses what the settings refuse before any work is done.
func (s *Server) readName(name string) (route.Name, error) {
	n, err := route.ParseName(name)
	if err != nil {
		return n, notFound(nameInvalid, err.Error())
	}
	if count := len(n.Packages()); count > s.options.Packages {
		return n, notFound(nameInvalid, fmt.Sprintf("a name has at most %d packages here, and this one has %d", s.options.Packages, count))
	}
	if _, pkg := n.Allowed(s.options.Allow); pkg != "" {
		return n, notServed(pkg)
	}
	return n, nil
}

// respelled has the packages of a query that are spelled otherwise than --allow spells them, and how it does.
func (s *Server) respelled(q query) map[string][]string {
	n, err := route.ParseName(q.image)
	if err != nil {
		return nil // and it does not come to a build
	}
	plain, _ := n.Allowed(s.options.Allow)
	return plain
}

// requireSamePackages makes a line compare such packages with those that --allow names: a package is looked up by other rules than a name is matched
// by, and GIT may be another one than git.
func requireSamePackages(line *build.Builder, alike map[string][]string) {
	if len(alike) == 0 {
		return
	}
	for _, pkg := range slices.Sorted(maps.Keys(alike)) {
		line.AlsoEvaluate = append(line.AlsoEvaluate, alike[pkg]...)
	}
	line.Approve = func(evaluated []nixbuild.Package) error { return approve(evaluated, alike) }
}

func approve(evaluated []nixbuild.Package, alike map[string][]string) error {
	for _, p := range evaluated {
		names, asked := alike[p.Name]
		same := func(other nixbuild.Package) bool {
			return slices.Contains(names, other.Name) && other.System == p.System && other.Drv == p.Drv && other.Output == p.Output
		}
		if asked && !slices.ContainsFunc(evaluated, same) {
			return notServed(p.Name)
		}
	}
	return nil
}
