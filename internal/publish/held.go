package publish

import (
	"context"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// held says which images repositories have already. A registry keeps what a manifest that it has refers to, so one
// question spares one for each layer.
type held struct {
	mu     sync.Mutex
	images map[holding]bool
}

type holding struct {
	repo   name.Repository
	digest v1.Hash
}

func (h *held) add(repo name.Repository, digest v1.Hash) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.images == nil {
		h.images = map[holding]bool{}
	}
	h.images[holding{repo, digest}] = true
}

// has is false for an image with an unread layer, whose digest is not known.
func (h *held) has(repo name.Repository, image v1.Image) bool {
	digest, err := image.Digest()
	if err != nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.images[holding{repo, digest}]
}

// ask asks each repository for the images whose digests are known, and for the blobs of those whose inspection is due.
// Whatever the answer is but yes, the image is pushed, and says then what is wrong.
func (p *push) ask(ctx context.Context) error {
	var mu sync.Mutex
	var due []*candidate
	g, gctx := p.group(ctx)
	for i, a := range p.artifacts {
		images, err := a.images()
		if err != nil {
			return err
		}
		for _, image := range images {
			digest, err := image.Digest()
			if err != nil {
				continue
			}
			for _, repo := range p.targets[i] {
				g.Go(func() error {
					desc, err := p.session.Puller.Head(gctx, repo.Digest(digest.String()))
					switch {
					case err != nil || desc.Digest != digest:
					case a.Inspector == nil || !a.Inspector.Due(repo, digest):
						p.held.add(repo, digest)
					default:
						mu.Lock()
						due = append(due, &candidate{repo: repo, image: image, digest: digest, inspector: a.Inspector})
						mu.Unlock()
					}
					return nil
				})
			}
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return p.inspect(ctx, due)
}
