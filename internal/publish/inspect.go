package publish

import (
	"context"
	"fmt"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/org/nixery-action/internal/registry"
)

// Inspector decides how far a registry is believed. One that has an image's manifest most often has its blobs too, but blobs
// get lost: by a clean-up, or with a disk. Calls may overlap.
type Inspector interface {
	// Due reports whether the blobs of an image whose manifest a repository has are asked for.
	Due(repo name.Repository, image v1.Hash) bool
	// Inspected takes the answers. What is lost is uploaded again after that.
	Inspected(Inspection)
	// Complete takes that a repository has a whole image: each of its blobs was asked for, or sent.
	Complete(repo name.Repository, image v1.Hash)
}

// Inspection is what a repository said of the blobs of an image.
type Inspection struct {
	Repository name.Repository
	Image      v1.Hash
	Blobs      int // asked for: layers and configuration
	Lost       []v1.Hash
}

// candidate is an image whose manifest a repository has.
type candidate struct {
	repo      name.Repository
	image     v1.Image
	digest    v1.Hash
	inspector Inspector // nil if the repository is believed
	blobs     []v1.Hash
}

// inspect asks for the blobs of images, each once for each repository, and holds those images that are whole. An answer
// that is neither yes nor no holds nothing: the upload asks again, and says what is wrong.
func (p *push) inspect(ctx context.Context, candidates []*candidate) error {
	var mu sync.Mutex
	exists := map[holding]bool{}
	asked := map[holding]bool{}
	g, gctx := p.group(ctx)
	for _, c := range candidates {
		var err error
		if c.blobs, err = blobsOf(c.image); err != nil {
			return err
		}
		for _, digest := range c.blobs {
			blob := holding{c.repo, digest}
			if asked[blob] {
				continue
			}
			asked[blob] = true
			g.Go(func() error {
				there, err := p.hasBlob(gctx, blob)
				if err == nil {
					mu.Lock()
					exists[blob] = there
					mu.Unlock()
				}
				return nil
			})
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, c := range candidates {
		p.judge(c, exists)
	}
	return ctx.Err()
}

func (p *push) judge(c *candidate, exists map[holding]bool) {
	found := Inspection{Repository: c.repo, Image: c.digest, Blobs: len(c.blobs)}
	whole := true
	for _, digest := range c.blobs {
		there, known := exists[holding{c.repo, digest}]
		if known && !there {
			found.Lost = append(found.Lost, digest)
		}
		whole = whole && there
	}
	if !whole && len(found.Lost) == 0 {
		return
	}
	c.inspector.Inspected(found)
	if whole {
		p.held.add(c.repo, c.digest)
		c.inspector.Complete(c.repo, c.digest)
	}
}

func (p *push) hasBlob(ctx context.Context, blob holding) (there bool, err error) {
	ref := blob.repo.Digest(blob.digest.String())
	_, err = p.session.Retry(ctx, "asking for a blob", ref.Name(), registry.Retryable, func(ctx context.Context) error {
		layer, err := p.session.Puller.Layer(ctx, ref)
		if err != nil {
			return err
		}
		there, err = partial.Exists(layer)
		return err
	})
	return there, err
}

// blobsOf are the digests of an image's layers and configuration, each once.
func blobsOf(image v1.Image) ([]v1.Hash, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return nil, fmt.Errorf("reading manifest: %w", err)
	}
	seen := map[v1.Hash]bool{}
	var blobs []v1.Hash
	for _, d := range append([]v1.Descriptor{manifest.Config}, manifest.Layers...) {
		if !seen[d.Digest] {
			seen[d.Digest] = true
			blobs = append(blobs, d.Digest)
		}
	}
	return blobs, nil
}
