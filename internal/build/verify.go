package build

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/org/nixery-action/internal/layers"
	"github.com/org/nixery-action/internal/nix"
)

// verify compares the layers and closures of images, which were built without
// the cache, with what the cache has. Nothing is published yet. The error joins
// one for each difference.
func (j *job) verify(ctx context.Context, images []built) error {
	stage := j.begin("verifying")
	all := distinctLayers(images)
	stage.Total(len(all), 0)
	j.stats.start(stage, j.Log)
	if err := measure(ctx, all, j.stats); err != nil {
		return err
	}
	v := verification{source: j.source, known: j.known}
	i := 0
	for _, b := range images { // in the order of j.known
		for _, p := range b.platforms {
			v.compare(i, p)
			i++
		}
	}
	if len(v.differences) > 0 {
		v.differences = append(v.differences, errors.New(
			"nothing was published; a build that has cache-to and no cache-from replaces what the cache says"))
		return errors.Join(v.differences...)
	}
	stage.Done(fmt.Sprintf("%d layers and %d closures are what the cache says", v.layers, v.closures))
	if v.layers+v.closures == 0 {
		j.Log.Warn("there was nothing in the cache to verify")
	}
	return nil
}

// verification counts what is equal, and has an error for each difference.
type verification struct {
	source           *Pinned
	known            cached
	layers, closures int
	differences      []error
}

func (v *verification) compare(i int, p builtPlatform) {
	note := func(err error) {
		v.differences = append(v.differences, fmt.Errorf("image %s for %s: %w", p.target.Image, p.target.Platform, err))
	}
	if roots, ok := v.known[i].Roots(v.source.keyOf(p.target)); ok && !slices.Equal(roots, rootsOf(p.target)) {
		note(fmt.Errorf("its packages are %v, but the cache says %v", rootsOf(p.target), roots))
	}
	if closure, ok := v.known[i].Closure(p.target.Roots()); ok {
		v.closures++
		for _, err := range compareClosures(closure, p.target.Closure) {
			note(err)
		}
	}
	for _, layer := range p.layers {
		record, ok := v.known[i].Layer(layer.Key())
		if !ok {
			continue
		}
		v.layers++
		if err := compareLayer(layer, record); err != nil {
			note(err)
		}
	}
}

// compareLayer returns a [layers.MismatchError] if a layer is not what its
// cached record says, with a store path that it holds.
func compareLayer(layer *layers.Layer, want layers.Record) error {
	got, err := layer.Record()
	if err != nil || got == want {
		return err
	}
	held := "the root layer"
	if paths := layer.Paths(); len(paths) > 0 {
		held = "of " + paths[0].Name()
		if len(paths) > 1 {
			held += fmt.Sprintf(" and %d more", len(paths)-1)
		}
	}
	return fmt.Errorf("%w; it is %s", &layers.MismatchError{Key: layer.Key(), Want: want, Got: got}, held)
}

// compareClosures returns an error for every path in which the cached closure
// and the one that Nix reports differ.
func compareClosures(recorded, real nix.Closure) (differences []error) {
	said := map[nix.StorePath]nix.PathInfo{}
	for _, info := range recorded.Paths {
		said[info.Path] = info
	}
	for _, info := range real.Paths {
		other, ok := said[info.Path]
		delete(said, info.Path)
		switch {
		case !ok:
			differences = append(differences, fmt.Errorf("%s is in the closure, but not in the cache's", info.Path))
		case !samePath(info, other):
			differences = append(differences, fmt.Errorf("%s: its NAR hash is %s (%d bytes, %d references), but the cache says %s (%d, %d)",
				info.Path, info.NarHash, info.NarSize, len(info.References), other.NarHash, other.NarSize, len(other.References)))
		}
	}
	for _, info := range recorded.Paths {
		if _, left := said[info.Path]; left {
			differences = append(differences, fmt.Errorf("%s is in the cache's closure, but not in the real one", info.Path))
		}
	}
	return differences
}
