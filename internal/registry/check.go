package registry

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// CheckPush begins an upload, and drops it: a token alone does not prove the right to push
// (https://github.com/docker/hub-feedback/issues/1771). An address without a listener fails at once.
func (c *Client) CheckPush(ctx context.Context, repo name.Repository) error {
	const op = "checking the right to push"
	_, err := c.Retry(ctx, op, repo.Name(), RetryableFirst, func(ctx context.Context) error {
		return c.tryPush(ctx, repo)
	})
	return c.Fault(ctx, op, repo, err)
}

func (c *Client) tryPush(ctx context.Context, repo name.Repository) error {
	auth, err := authn.Resolve(ctx, c.keychain, repo)
	if err != nil {
		return err
	}
	tr, err := transport.NewWithContext(ctx, repo.Registry, auth, transport.NewUserAgent(c.wire, c.agent),
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

// drop cancels an upload that was begun. Registries drop such uploads themselves after a while, so its failure is ignored.
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
