package publish

import (
	"context"
	"net/http"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// tags sets every tag.
func (p *push) tags(ctx context.Context) error {
	g, ctx := p.group(ctx)
	for _, a := range p.artifacts {
		m, err := a.manifest()
		if err != nil {
			return err
		}
		for _, tag := range a.Tags {
			g.Go(func() error { return p.setTag(ctx, tag, m) })
		}
	}
	return g.Wait()
}

func (p *push) setTag(ctx context.Context, tag name.Tag, m Manifest) error {
	before := &tagTrace{}
	ref := p.reachable(tag.Repository).Tag(tag.TagStr())
	if err := p.put(context.WithValue(ctx, tagTraceKey{}, before), "pushing a tag", ref, m); err != nil {
		return err
	}
	if from, ok := before.learnt(); ok {
		p.moved(tag, from)
	}
	return nil
}

func oneMoveAtATime(moved func(name.Tag, v1.Hash)) func(name.Tag, v1.Hash) {
	var mu sync.Mutex
	return func(tag name.Tag, from v1.Hash) {
		mu.Lock()
		defer mu.Unlock()
		moved(tag, from)
	}
}

// tagTrace learns what a tag stands for from the answer to the question that go-containerregistry asks before it sets
// the tag. It spans all attempts: only the first answer tells of the time before.
type tagTrace struct {
	mu     sync.Mutex
	known  bool
	digest v1.Hash
}

type tagTraceKey struct{}

func tagTraceOf(ctx context.Context) *tagTrace {
	if t, ok := ctx.Value(tagTraceKey{}).(*tagTrace); ok {
		return t
	}
	return &tagTrace{}
}

func (t *tagTrace) note(req *http.Request, resp *http.Response) {
	if req.Method != http.MethodHead || !strings.Contains(req.URL.Path, "/manifests/") {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known {
		return
	}
	switch resp.StatusCode {
	case http.StatusNotFound:
		t.known = true
	case http.StatusOK:
		digest, err := v1.NewHash(resp.Header.Get("Docker-Content-Digest"))
		t.digest, t.known = digest, err == nil
	}
}

func (t *tagTrace) learnt() (v1.Hash, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.digest, t.known
}
