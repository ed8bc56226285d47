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

// recalled is what earlier runs learnt of each wish, in the order of wishes.
// Nil is nothing.
type recalled []memory

type memory struct {
	*cache.History
	others *cache.History // of layers that other images have; nil if there is none
	blobs  func(layers.Record) (io.ReadCloser, error)
}

// recall asks the cache about all wishes at once.
func (l *Line) recall(ctx context.Context, wishes []Wish) recalled {
	known := make(recalled, len(wishes))
	var tasks sync.WaitGroup
	for i, w := range wishes {
		tasks.Go(func() {
			known[i] = memory{l.Cache.Open(ctx, l.identity(w)), l.Others, func(r layers.Record) (io.ReadCloser, error) {
				return l.Cache.Blob(ctx, r.Digest, r.Size)
			}}
		})
	}
	tasks.Wait()
	return known
}

// lack tells whether some image and platform is new.
func (k recalled) lack() bool {
	return slices.ContainsFunc(k, func(m memory) bool { return m.Empty() })
}

func (l *Line) identity(w Wish) cache.Identity {
	return cache.Identity{Spec: l.Spec, Image: w.Image, Platform: w.Platform.String()}
}

// closures gives all wishes the closures they had, or none of them: one that
// is not known takes a run of Nix, which tells of all.
func (k recalled) closures(wishes []Wish) bool {
	if k == nil {
		return false
	}
	for i := range wishes {
		closure, ok := k[i].Closure(wishes[i].Roots())
		if !ok {
			return false
		}
		wishes[i].Closure = closure
	}
	return true
}

// packages gives all wishes the packages that the same source and names gave
// before, or none of them. Their derivations are not known: realising takes an
// evaluation.
func (k recalled) packages(source pinned, wishes []Wish) bool {
	all := make([][]nixbuild.Package, len(wishes))
	for i, w := range wishes {
		key := source.keyOf(w)
		if k == nil || key == "" {
			return false
		}
		roots, ok := k[i].Roots(key)
		if !ok {
			return false
		}
		for _, root := range roots {
			all[i] = append(all[i], nixbuild.Package{Name: root.Name, System: nix.System(w.Platform), Out: root.Path})
		}
	}
	for i := range wishes {
		wishes[i].Packages = all[i]
	}
	return true
}

// explain says why a cache that is there does not spare a run of Nix. What is
// wrong with a cache, it has said itself.
func (l *Line) explain(known recalled) {
	if known == nil || !l.Cache.Reads() || len(l.Cache.Problems()) > 0 {
		return
	}
	if slices.ContainsFunc(known, func(m memory) bool { return !m.Empty() }) {
		l.Log.Info("some packages are not those of the last run that the cache knows of, so they are realised")
		return
	}
	l.Log.Info("the cache knows of no earlier run of this spec, so everything is made")
}

// record is what any of the ledgers says of a key.
func (k recalled) record(key layers.Key) *layers.Record {
	for _, m := range k {
		if record, ok := m.Layer(key); ok {
			return &record
		}
	}
	for _, m := range k {
		if m.others == nil {
			continue
		}
		if record, ok := m.others.Layer(key); ok {
			return &record
		}
	}
	return nil
}

// blobs is where bytes of known layers may be had, or nil.
func (k recalled) blobs() func(layers.Record) (io.ReadCloser, error) {
	if len(k) == 0 {
		return nil
	}
	return k[0].blobs
}

// errStale says that recalled packages or closures are not those that Nix has.
var errStale = errors.New("what the cache says of packages is not what Nix says")

// confirm evaluates, if that was spared so far, realises after all, and compares what was recalled with what is there.
func (j *job) confirm(ctx context.Context) error {
	believed := j.wishes
	if err := j.evaluate(ctx); err != nil {
		return err
	}
	if err := j.hold.realise(ctx); err != nil {
		return err
	}
	now := slices.Clone(j.wishes)
	if err := j.queryClosures(ctx, now, j.hold.roots()); err != nil {
		return err
	}
	if !slices.EqualFunc(now, believed, sameClosure) {
		return errStale
	}
	return nil
}

func sameClosure(a, b Wish) bool {
	return slices.EqualFunc(a.Packages, b.Packages, samePackage) && slices.EqualFunc(a.Closure.Paths, b.Closure.Paths, samePath)
}

func samePackage(a, b nixbuild.Package) bool { return a.Name == b.Name && a.Out == b.Out }

func samePath(a, b nix.PathInfo) bool {
	return a.Path == b.Path && a.NarHash == b.NarHash && a.NarSize == b.NarSize && slices.Equal(a.References, b.References)
}

// disproved tells errors that come of believing the cache from all others.
func disproved(err error) bool {
	return errors.Is(err, errStale) || errors.As(err, new(*layers.MismatchError)) || errors.As(err, new(*cache.StoreError))
}

// learn keeps what a run that published everything knows in the end.
func (j *job) learn(ctx context.Context, made []built) {
	for i, image := range made {
		for _, p := range image.platforms {
			page := j.page(ctx, j.source, p)
			if digest, err := p.image.Digest(); err == nil {
				j.inspections.keep(page, repositoriesOf(j.dests, i), digest)
			}
			j.Cache.Save(ctx, j.identity(p.wish), page)
		}
	}
}

func (l *Line) page(ctx context.Context, source pinned, p builtPlatform) cache.Snapshot {
	page := cache.NewSnapshot()
	page.AddClosure(p.wish.Closure)
	if key := source.keyOf(p.wish); key != "" {
		page.Roots[key] = rootsOf(p.wish)
	}
	for _, layer := range p.layers {
		record, err := layer.Record()
		if err != nil {
			continue // no destination wanted it
		}
		l.Cache.SaveBlob(ctx, record.Digest, record.Size, layer.Compressed)
		page.Layers[layer.Key()] = record
	}
	return page
}

// rootsOf is what a wish's packages evaluated to.
func rootsOf(w Wish) []cache.Root {
	roots := make([]cache.Root, len(w.Packages))
	for i, p := range w.Packages {
		roots[i] = cache.Root{Name: p.Name, Path: p.Out}
	}
	return roots
}
