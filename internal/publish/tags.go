package publish

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/org/nixery-action/internal/registry"
	"golang.org/x/sync/errgroup"
)

// tags sets every tag, one after the other, in the order of rank. The first one that cannot be set ends it: no later one
// is tried, and none is put back.
func (p *push) tags(ctx context.Context) error {
	all, err := p.taggings()
	if err != nil {
		return err
	}
	p.askTags(ctx, all)
	slices.SortStableFunc(all, func(a, b *tagging) int { return cmp.Compare(a.rank(), b.rank()) })
	for _, t := range all {
		if err == nil {
			err = p.set(ctx, t)
		}
		p.tagged(t.Tagging)
	}
	if err == nil {
		return nil
	}
	stopped := &TagsError{Err: err}
	for _, t := range all {
		stopped.Taggings = append(stopped.Taggings, t.Tagging)
	}
	return stopped
}

// tagging is a tag to set and what it is to name.
type tagging struct {
	Tagging
	ref      name.Tag // with plain HTTP allowed where it is
	manifest Manifest
}

// taggings lists every tag once, in the order of artifacts and their tags.
func (p *push) taggings() ([]*tagging, error) {
	var all []*tagging
	seen := map[string]bool{}
	for _, a := range p.artifacts {
		m, err := a.manifest()
		if err != nil {
			return nil, err
		}
		digest, err := m.Digest()
		if err != nil {
			return nil, err
		}
		for _, tag := range a.Tags {
			if !seen[tag.Name()] {
				seen[tag.Name()] = true
				ref := p.client.Reachable(tag.Repository).Tag(tag.TagStr())
				all = append(all, &tagging{Tagging{Tag: tag, Outcome: Untried, To: digest}, ref, m})
			}
		}
	}
	return all, nil
}

// rank orders tags: those that move nothing come first, and latest comes last.
func (t *tagging) rank() int {
	rank := 0
	if t.moves() {
		rank = 1
	}
	if t.Tag.TagStr() == name.DefaultTag {
		rank += 2
	}
	return rank
}

// moves reports whether something else may have the tag now.
func (t *tagging) moves() bool { return !t.Asked || t.From != v1.Hash{} && t.From != t.To }

// askTags asks what each tag names now. A registry that does not say is no failure: setting the tag tells what is wrong.
func (p *push) askTags(ctx context.Context, all []*tagging) {
	var g errgroup.Group
	g.SetLimit(p.jobs)
	for _, t := range all {
		g.Go(func() error {
			_, _ = p.session.Retry(ctx, "asking for a tag", t.ref.Name(), registry.Retryable, func(ctx context.Context) error {
				var err error
				t.From, t.Asked, err = p.askTag(ctx, t.ref)
				return err
			})
			return nil
		})
	}
	_ = g.Wait()
}

// askTag returns the digest that a tag has; the zero Hash if no such tag exists.
func (p *push) askTag(ctx context.Context, ref name.Tag) (digest v1.Hash, said bool, err error) {
	desc, err := p.session.Puller.Head(ctx, ref)
	if err == nil {
		return desc.Digest, true, nil
	}
	var answer *transport.Error
	if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound {
		return v1.Hash{}, true, nil
	}
	return v1.Hash{}, false, err
}

// set sets one tag, unless it has the digest already.
func (p *push) set(ctx context.Context, t *tagging) error {
	if t.Asked && t.From == t.To {
		t.Outcome = Same
		return nil
	}
	if ctx.Err() != nil {
		return explain(ctx, ctx.Err())
	}
	err := p.session.Put(ctx, "pushing a tag", t.ref, t.manifest)
	if err != nil {
		if t.Outcome = p.afterFailure(ctx, t, err); t.Outcome != Moved {
			t.Err = explain(ctx, err)
			return t.Err
		}
	}
	t.Outcome = Moved
	if !t.moves() {
		t.Outcome = Created
	}
	return nil
}

// afterFailure says what became of a tag that could not be set. A registry that answered has refused it. Otherwise only
// the answer may be lost, so it is asked once more: Moved is then no failure.
func (p *push) afterFailure(ctx context.Context, t *tagging, err error) Outcome {
	var fault *registry.Error
	if errors.As(err, &fault) && fault.Status >= http.StatusBadRequest && fault.Status < http.StatusInternalServerError {
		return Refused
	}
	digest, said, _ := p.askTag(ctx, t.ref)
	switch {
	case said && digest == t.To:
		return Moved
	case said && ctx.Err() == nil:
		return Refused
	}
	return Unknown
}
