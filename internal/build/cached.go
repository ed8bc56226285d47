package build

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/org/nixery-action/internal/cache"
	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
	"github.com/org/nixery-action/internal/nixbuild"
)

// cached is the results of earlier runs for each platform, in the order of
// platforms. Nil has none.
type cached []cachedPlatform

type cachedPlatform struct {
	*cache.History
	shared *cache.History // records of the layers of other images; nil for none
	blobs  func(layers.Record) (io.ReadCloser, error)
}

// loadCached reads the cache for all platforms at once.
func (b *Builder) loadCached(ctx context.Context, platforms []TargetPlatform) cached {
	known := make(cached, len(platforms))
	var tasks sync.WaitGroup
	for i, p := range platforms {
		tasks.Go(func() {
			known[i] = cachedPlatform{b.Cache.Open(ctx, b.identity(p)), b.Shared, func(r layers.Record) (io.ReadCloser, error) {
				return b.Cache.Blob(ctx, r.Digest, r.Size)
			}}
		})
	}
	tasks.Wait()
	return known
}

// incomplete reports whether some platform has no result of an earlier run.
func (c cached) incomplete() bool {
	return slices.ContainsFunc(c, func(p cachedPlatform) bool { return p.Empty() })
}

func (b *Builder) identity(p TargetPlatform) cache.Identity {
	return cache.Identity{Spec: b.Spec, Image: p.Image, Platform: p.Platform.String()}
}

// closures returns the platforms with their cached closures, and whether the
// cache has all of them: for one that it lacks, Nix must run, and reports all.
func (c cached) closures(platforms []TargetPlatform) ([]TargetPlatform, bool) {
	if c == nil {
		return nil, false
	}
	platforms = slices.Clone(platforms)
	for i := range platforms {
		closure, ok := c[i].Closure(platforms[i].Roots())
		if !ok {
			return nil, false
		}
		platforms[i].Closure = closure
	}
	return platforms, true
}

// packages returns the platforms with the packages that an earlier run got of
// the same source and names, and whether the cache has those of all platforms.
// Derivations are not cached: to realise such a package, it must be evaluated.
func (c cached) packages(source *Pinned, platforms []TargetPlatform) ([]TargetPlatform, bool) {
	platforms = slices.Clone(platforms)
	for i := range platforms {
		p := &platforms[i]
		key := source.keyOf(*p)
		if c == nil || key == "" {
			return nil, false
		}
		roots, ok := c[i].Roots(key)
		if !ok {
			return nil, false
		}
		p.Packages = nil
		for _, root := range roots {
			p.Packages = append(p.Packages, nixbuild.Package{Name: root.Name, System: nix.System(p.Platform), Out: root.Path})
		}
	}
	return platforms, true
}

// explainMiss logs why the cache does not spare a run of Nix. Problems of the
// cache itself are logged by package cache.
func (b *Builder) explainMiss(known cached) {
	if known == nil || !b.Cache.Reads() || len(b.Cache.Problems()) > 0 {
		return
	}
	if slices.ContainsFunc(known, func(p cachedPlatform) bool { return !p.Empty() }) {
		b.Log.Info("some packages differ from those of the last cached run, so they are realised")
		return
	}
	b.Log.Info("the cache has no earlier run of this spec, so everything is built")
}

// record returns the cached record of a layer: from this run's images first,
// then from those that share their layers. It returns nil if there is none.
func (c cached) record(key layers.Key) *layers.Record {
	for _, p := range c {
		if record, ok := p.Layer(key); ok {
			return &record
		}
	}
	for _, p := range c {
		if p.shared == nil {
			continue
		}
		if record, ok := p.shared.Layer(key); ok {
			return &record
		}
	}
	return nil
}

// blobs returns a reader of cached layers' bytes, or nil if there is no cache.
func (c cached) blobs() func(layers.Record) (io.ReadCloser, error) {
	if len(c) == 0 {
		return nil
	}
	return c[0].blobs
}

// errStale reports that cached packages or closures differ from those of Nix.
var errStale = errors.New("cached packages differ from what Nix evaluates and realises")

// confirm realises what the cache spared so far, and compares it with what the
// cache has. It returns [errStale] if they differ.
func (j *job) confirm(ctx context.Context) error {
	trusted := j.platforms
	real, err := j.realise(ctx)
	if err != nil {
		return err
	}
	j.platforms = real
	if !slices.EqualFunc(real, trusted, sameClosure) {
		return errStale
	}
	return nil
}

func sameClosure(a, b TargetPlatform) bool {
	return slices.EqualFunc(a.Packages, b.Packages, samePackage) && slices.EqualFunc(a.Closure.Paths, b.Closure.Paths, samePath)
}

func samePackage(a, b nixbuild.Package) bool { return a.Name == b.Name && a.Out == b.Out }

func samePath(a, b nix.PathInfo) bool {
	return a.Path == b.Path && a.NarHash == b.NarHash && a.NarSize == b.NarSize && slices.Equal(a.References, b.References)
}

// isStale reports whether an error comes of using the cache: the same run
// without it may succeed.
func isStale(err error) bool {
	return errors.Is(err, errStale) || errors.As(err, new(*layers.MismatchError)) || errors.As(err, new(*cache.StoreError))
}

// save writes the results of a run that published everything to the cache.
func (j *job) save(ctx context.Context, images []built) {
	for i, image := range images {
		for _, p := range image.platforms {
			page := j.page(ctx, j.source, p)
			if digest, err := p.image.Digest(); err == nil {
				j.inspections.keep(page, repositoriesOf(j.dests, i), digest)
			}
			j.Cache.Save(ctx, j.identity(p.target), page)
		}
	}
}

// page returns what the cache keeps of one platform, and saves its blobs.
func (b *Builder) page(ctx context.Context, source *Pinned, p builtPlatform) cache.Snapshot {
	page := cache.NewSnapshot()
	page.AddClosure(p.target.Closure)
	if key := source.keyOf(p.target); key != "" {
		page.Roots[key] = rootsOf(p.target)
	}
	for _, layer := range p.layers {
		record, err := layer.Record()
		if err != nil {
			continue // no destination read it
		}
		b.Cache.SaveBlob(ctx, record.Digest, record.Size, layer.Compressed)
		page.Layers[layer.Key()] = record
	}
	return page
}

// rootsOf lists the names and output paths of a platform's packages.
func rootsOf(p TargetPlatform) []cache.Root {
	roots := make([]cache.Root, len(p.Packages))
	for i, pkg := range p.Packages {
		roots[i] = cache.Root{Name: pkg.Name, Path: pkg.Out}
	}
	return roots
}
