package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/org/nixery-action/internal/registry"
)

// delivery is a layer and the repositories that need it: those that have no image with it are asked for the layer, or sent it.
type delivery struct {
	layer v1.Layer
	repos []*recipient
}

type recipient struct {
	name.Repository
	held bool // by way of all images that have it
}

// layers brings every layer to every repository that needs it.
func (p *push) layers(ctx context.Context) error {
	deliveries, err := p.deliveries()
	if err != nil {
		return err
	}
	g, ctx := p.group(ctx)
	for _, d := range deliveries {
		g.Go(func() error { return p.deliver(ctx, d) })
	}
	return g.Wait()
}

// deliveries lists every layer once, whatever number of artifacts and platforms share it.
func (p *push) deliveries() ([]*delivery, error) {
	var all []*delivery
	byLayer := map[any]*delivery{}
	for i, a := range p.artifacts {
		images, err := a.images()
		if err != nil {
			return nil, err
		}
		for _, image := range images {
			layers, err := image.Layers()
			if err != nil {
				return nil, fmt.Errorf("image %q: reading layers: %w", a.Name, err)
			}
			for _, layer := range layers {
				key := layerKey(layer)
				if byLayer[key] == nil {
					byLayer[key] = &delivery{layer: layer}
					all = append(all, byLayer[key])
				}
				byLayer[key].add(p.targets[i], func(repo name.Repository) bool { return p.held.has(repo, image) })
			}
		}
	}
	return all, nil
}

func (d *delivery) add(repos []name.Repository, has func(name.Repository) bool) {
	for _, repo := range repos {
		at := slices.IndexFunc(d.repos, func(r *recipient) bool { return r.Repository == repo })
		if at < 0 {
			at = len(d.repos)
			d.repos = append(d.repos, &recipient{Repository: repo, held: true})
		}
		// One image that is not whole there says more than another that is believed to be.
		d.repos[at].held = d.repos[at].held && has(repo)
	}
}

// deliver brings one layer to its repositories, one after the other: after the first, the digest is known, and other
// repositories of that registry mount the blob.
func (p *push) deliver(ctx context.Context, d *delivery) error {
	sources := map[string]*name.Repository{}
	for _, to := range d.repos {
		how, repo := Existing, to.Repository
		if !to.held {
			transfer, err := p.session.Upload(ctx, "uploading a layer", d.layer, repo, sources[repo.RegistryStr()], p.sent)
			if err != nil {
				return err
			}
			how = howOf(transfer)
		}
		if err := p.tell(d.layer, repo, how); err != nil {
			return err
		}
		sources[repo.RegistryStr()] = &repo
	}
	return nil
}

func (p *push) tell(layer v1.Layer, repo name.Repository, how How) error {
	digest, errDigest := layer.Digest()
	size, errSize := layer.Size()
	if err := errors.Join(errDigest, errSize); err != nil {
		return fmt.Errorf("measuring a layer after its upload: %w", err)
	}
	p.report(Upload{Repository: repo, Digest: digest, Size: size, How: how})
	return nil
}

func howOf(t registry.Transfer) How {
	switch {
	case t.Uploaded:
		return Uploaded
	case t.Mounted:
		return Mounted
	}
	return Existing
}
