package publish

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/org/nixery-action/internal/registry"
	"golang.org/x/sync/errgroup"
)

// How says how a layer came to be in a repository.
type How int

// A layer is Existing if the registry had it, Mounted if it had it in another repository of this push, else Uploaded.
const (
	Existing How = iota
	Mounted
	Uploaded
)

func (h How) String() string {
	return [...]string{"existing", "mounted", "uploaded"}[h]
}

// Upload is a layer that is now in a repository. Size is that of the blob, in bytes.
type Upload struct {
	Repository name.Repository
	Digest     v1.Hash
	Size       int64
	How        How
}

// RegistryOptions are the settings of a Registry; the zero value is anonymous and silent.
type RegistryOptions struct {
	Client *registry.Client
	// Jobs is how many layers or manifests are sent at a time; 0 means 4. Tags are set one after the other.
	Jobs int
	// Tagged is called once for each tag, in the order in which they are set, also for those that are not. It is not
	// called if tags are not reached. Calls do not overlap.
	Tagged func(Tagging)
	// Stored is called when a repository has an artifact, by its digest. Calls do not overlap.
	Stored func(name.Repository, v1.Hash)
	// Report is called once for each layer and repository, when it is there. Calls do not overlap.
	Report func(Upload)
	// Sent is called with the number of bytes of layers that leave, and with a negative number when bytes did not arrive
	// and will be sent again. Calls may overlap.
	Sent func(n int64)
}

// Registry pushes to the registries that the artifacts' tags and repositories name. It may be used concurrently, and again.
type Registry struct {
	client *registry.Client
	jobs   int
	report func(Upload)
	tagged func(Tagging)
	stored func(name.Repository, v1.Hash)
	sent   func(int64)
	grace  time.Duration // for tags after a cancellation
}

var _ Destination = (*Registry)(nil)

// NewRegistry returns a destination that speaks the distribution protocol.
func NewRegistry(o RegistryOptions) *Registry {
	r := &Registry{client: o.Client, jobs: o.Jobs, report: o.Report, tagged: o.Tagged, stored: o.Stored, sent: o.Sent, grace: tagGrace}
	if r.client == nil {
		r.client = registry.New(registry.Options{})
	}
	if r.jobs <= 0 {
		r.jobs = 4
	}
	if r.report == nil {
		r.report = func(Upload) {}
	}
	if r.tagged == nil {
		r.tagged = func(Tagging) {}
	}
	if r.stored == nil {
		r.stored = func(name.Repository, v1.Hash) {}
	}
	if r.sent == nil {
		r.sent = func(int64) {}
	}
	r.report = oneAtATime(r.report)
	r.stored = oneStoreAtATime(r.stored)
	return r
}

func oneAtATime(report func(Upload)) func(Upload) {
	var mu sync.Mutex
	return func(u Upload) {
		mu.Lock()
		defer mu.Unlock()
		report(u)
	}
}

func oneStoreAtATime(stored func(name.Repository, v1.Hash)) func(name.Repository, v1.Hash) {
	var mu sync.Mutex
	return func(repo name.Repository, digest v1.Hash) {
		mu.Lock()
		defer mu.Unlock()
		stored(repo, digest)
	}
}

// CheckFirst implements [Destination]: a registry that has all images costs no check.
func (r *Registry) CheckFirst() bool { return false }

// Check verifies the right to push to every repository; see [Client.CheckPush].
func (r *Registry) Check(ctx context.Context, artifacts []Artifact) error {
	defer r.client.CloseIdle()
	g, gctx := (&push{Registry: r}).group(ctx)
	seen := map[name.Repository]bool{}
	for _, a := range artifacts {
		for _, repo := range r.repositories(a) {
			if !seen[repo] {
				seen[repo] = true
				g.Go(func() error { return r.client.CheckPush(gctx, repo) })
			}
		}
	}
	if err := g.Wait(); err != nil {
		return explain(ctx, err)
	}
	return nil
}

// Publish asks for the images whose digests are known, and for the blobs of those that are inspected, uploads all layers of the others, then configs and manifests by
// digest with indexes after what they refer to, and then sets the tags, one after the other: a failure before that moves no tag,
// and one of a tag is a *TagsError, which says which have moved. An unread layer is read once per registry; the
// other repositories of a registry mount it. Failures of a registry are *registry.Error.
func (r *Registry) Publish(ctx context.Context, artifacts []Artifact) ([]v1.Hash, error) {
	defer r.client.CloseIdle()
	p, err := r.newPush(artifacts)
	if err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{p.ask, p.layers, p.manifests} {
		if err := step(ctx); err != nil {
			return nil, explain(ctx, err)
		}
	}
	if ctx.Err() != nil {
		return nil, explain(ctx, ctx.Err())
	}
	last, done := outlive(ctx, r.grace)
	defer done()
	if err := p.tags(last); err != nil {
		return nil, err
	}
	return digests(artifacts)
}

// tagGrace is how long tags may still be set after a cancellation: a few requests, in less time than a cancelled job has
// before it is killed.
const tagGrace = 4 * time.Second

// outlive returns a context that ends grace after ctx does, so that of several tags all can move.
func outlive(ctx context.Context, grace time.Duration) (context.Context, func()) {
	longer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(grace, func() { cancel(context.Cause(ctx)) })
	})
	return longer, func() { stop(); cancel(nil) }
}

// explain puts a cancelled context before the many errors that it causes.
func explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("publishing: %w", context.Cause(ctx))
	}
	return err
}

// push is one call of Publish.
type push struct {
	*Registry
	session   *registry.Session
	artifacts []Artifact
	targets   [][]name.Repository // per artifact, each repository once
	held      held
}

func (r *Registry) newPush(artifacts []Artifact) (*push, error) {
	session, err := r.client.NewSession()
	if err != nil {
		return nil, err
	}
	p := &push{Registry: r, session: session, artifacts: artifacts}
	for _, a := range artifacts {
		if _, err := a.manifest(); err != nil {
			return nil, err
		}
		repos := r.repositories(a)
		if len(repos) == 0 {
			return nil, fmt.Errorf("image %q: there is no tag or repository to push to", a.Name)
		}
		p.targets = append(p.targets, repos)
	}
	return p, nil
}

// repositories returns each repository that the artifact goes to once, in order of appearance.
func (r *Registry) repositories(a Artifact) []name.Repository {
	var repos []name.Repository
	for _, tag := range a.Tags {
		repos = append(repos, tag.Repository)
	}
	seen := map[string]bool{}
	unique := make([]name.Repository, 0, len(repos))
	for _, repo := range append(repos, a.Repositories...) {
		if !seen[repo.Name()] {
			seen[repo.Name()] = true
			unique = append(unique, r.client.Reachable(repo))
		}
	}
	return unique
}

// manifests sends configs and manifests of every artifact to each of its repositories, children before parents.
func (p *push) manifests(ctx context.Context) error {
	g, ctx := p.group(ctx)
	for i, a := range p.artifacts {
		for _, repo := range p.targets[i] {
			g.Go(func() error { return p.pushByDigest(ctx, a, repo) })
		}
	}
	return g.Wait()
}

func (p *push) pushByDigest(ctx context.Context, a Artifact, repo name.Repository) error {
	manifests, err := a.Manifests()
	if err != nil {
		return err
	}
	for _, m := range manifests {
		if image, ok := m.(v1.Image); ok {
			if p.held.has(repo, image) {
				continue
			}
			if err := p.pushConfig(ctx, image, repo); err != nil {
				return err
			}
		}
		digest, err := m.Digest()
		if err != nil {
			return fmt.Errorf("image %q: reading digest: %w", a.Name, err)
		}
		if err := p.session.Put(ctx, "pushing a manifest", repo.Digest(digest.String()), m); err != nil {
			return err
		}
		if _, ok := m.(v1.Image); ok && a.Inspector != nil {
			a.Inspector.Complete(repo, digest)
		}
	}
	if err := p.pushAttached(ctx, a, repo); err != nil {
		return err
	}
	return p.tellStored(a, repo)
}

// pushAttached sends attached manifests one after the other, since each may change one fallback tag.
func (p *push) pushAttached(ctx context.Context, a Artifact, repo name.Repository) error {
	attached, err := a.Attached()
	if err != nil {
		return err
	}
	for _, image := range attached {
		layers, err := image.Layers()
		if err != nil {
			return fmt.Errorf("image %q: reading attached layers: %w", a.Name, err)
		}
		for _, layer := range layers {
			if _, err := p.session.Upload(ctx, "uploading an attached layer", layer, repo, nil, p.sent); err != nil {
				return err
			}
		}
		if err := p.pushConfig(ctx, image, repo); err != nil {
			return err
		}
		digest, err := image.Digest()
		if err != nil {
			return fmt.Errorf("image %q: reading attached digest: %w", a.Name, err)
		}
		if err := p.session.Put(ctx, "pushing an attached manifest", repo.Digest(digest.String()), image); err != nil {
			return err
		}
	}
	return nil
}

func (p *push) tellStored(a Artifact, repo name.Repository) error {
	m, err := a.manifest()
	if err != nil {
		return err
	}
	digest, err := m.Digest()
	if err != nil {
		return fmt.Errorf("image %q: reading digest: %w", a.Name, err)
	}
	p.stored(repo, digest)
	return nil
}

func (p *push) pushConfig(ctx context.Context, image v1.Image, repo name.Repository) error {
	config, err := partial.ConfigLayer(image)
	if err != nil {
		return fmt.Errorf("reading config: %w", err)
	}
	_, err = p.session.Upload(ctx, "uploading a config", config, repo, nil, p.sent)
	return err
}

func (p *push) group(ctx context.Context) (*errgroup.Group, context.Context) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(p.jobs)
	return g, ctx
}

// Pull reads an image or an index; see [Client.Pull].
func (r *Registry) Pull(ctx context.Context, ref name.Reference) (Artifact, error) {
	image, index, err := r.client.Pull(ctx, ref)
	return Artifact{Name: ref.Name(), Image: image, Index: index}, err
}
