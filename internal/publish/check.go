package publish

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Check begins an upload in every repository, and drops it: a token alone does not prove the right to push
// (https://github.com/docker/hub-feedback/issues/1771). An address where nobody listens fails at once.
func (r *Registry) Check(ctx context.Context, artifacts []Artifact) error {
	defer r.wire.closeIdle()
	g, gctx := (&push{Registry: r}).group(ctx)
	seen := map[name.Repository]bool{}
	for _, a := range artifacts {
		for _, repo := range r.repositories(a) {
			if !seen[repo] {
				seen[repo] = true
				g.Go(func() error { return r.checkPush(gctx, repo) })
			}
		}
	}
	if err := g.Wait(); err != nil {
		return explain(ctx, err)
	}
	return nil
}

func (r *Registry) checkPush(ctx context.Context, repo name.Repository) error {
	const op = "checking the right to push"
	_, err := r.retry(ctx, op, repo.Name(), worthAnotherAtOnce, func(ctx context.Context) error {
		return r.tryPush(ctx, repo)
	})
	return r.fault(ctx, op, repo, err)
}

func (r *Registry) tryPush(ctx context.Context, repo name.Repository) error {
	auth, err := authn.Resolve(ctx, r.keychain, repo)
	if err != nil {
		return err
	}
	tr, err := transport.NewWithContext(ctx, repo.Registry, auth, transport.NewUserAgent(r.wire, r.agent),
		[]string{repo.Scope(transport.PushScope)})
	if err != nil {
		return err
	}
	client := &http.Client{Transport: tr}
	begin := fmt.Sprintf("%s://%s/v2/%s/blobs/uploads/", repo.Scheme(), repo.RegistryStr(), repo.RepositoryStr())
	resp, err := do(ctx, client, http.MethodPost, begin)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := transport.CheckError(resp, http.StatusCreated, http.StatusAccepted); err != nil {
		return err
	}
	drop(ctx, client, resp)
	return nil
}

// drop cancels an upload that was begun. Registries forget such uploads by themselves, so its failure is of no account.
func drop(ctx context.Context, client *http.Client, begun *http.Response) {
	location, err := begun.Location()
	if err != nil || location.Host != begun.Request.URL.Host {
		return
	}
	if resp, err := do(ctx, client, http.MethodDelete, location.String()); err == nil {
		_ = resp.Body.Close()
	}
}

func do(ctx context.Context, client *http.Client, method, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	return client.Do(req)
}
