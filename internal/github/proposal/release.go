package proposal

import (
	"context"
	"fmt"
	"path/filepath"

	api "github.com/google/go-github/v60/github"

	"github.com/org/nixery-action/internal/plainfile"
)

// Attach uploads a file as an asset, under its own name, to the release of a tag,
// which is made at branch base if it is not there; it never becomes the latest
// one. An asset of that name is replaced. It returns where the asset can be
// downloaded.
func (r *Repository) Attach(ctx context.Context, tag, base, file string) (string, error) {
	release, err := r.release(ctx, tag, base)
	if err != nil {
		return "", fmt.Errorf("release %s: %w", tag, err)
	}
	name := filepath.Base(file)
	if err := r.removeAsset(ctx, release.GetID(), name); err != nil {
		return "", fmt.Errorf("release %s: replacing %s: %w", tag, name, err)
	}
	page, err := r.upload(ctx, release.GetID(), file)
	if err != nil {
		return "", fmt.Errorf("release %s: uploading %s: %w", tag, name, err)
	}
	return page, nil
}

func (r *Repository) release(ctx context.Context, tag, base string) (*api.RepositoryRelease, error) {
	release, _, err := r.client.Repositories.GetReleaseByTag(ctx, r.owner, r.name, tag)
	if !isNotFound(err) {
		return release, err
	}
	release, _, err = r.client.Repositories.CreateRelease(ctx, r.owner, r.name, &api.RepositoryRelease{
		TagName: &tag, TargetCommitish: &base, Name: &tag, MakeLatest: api.String("false"),
	})
	return release, err
}

func (r *Repository) removeAsset(ctx context.Context, release int64, name string) error {
	opts := &api.ListOptions{PerPage: 100}
	for {
		assets, resp, err := r.client.Repositories.ListReleaseAssets(ctx, r.owner, r.name, release, opts)
		if err != nil {
			return err
		}
		for _, asset := range assets {
			if asset.GetName() == name {
				_, err := r.client.Repositories.DeleteReleaseAsset(ctx, r.owner, r.name, asset.GetID())
				return err
			}
		}
		if resp.NextPage == 0 {
			return nil
		}
		opts.Page = resp.NextPage
	}
}

func (r *Repository) upload(ctx context.Context, release int64, file string) (string, error) {
	f, err := plainfile.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	opts := &api.UploadOptions{Name: filepath.Base(file), MediaType: "application/octet-stream"}
	asset, _, err := r.client.Repositories.UploadReleaseAsset(ctx, r.owner, r.name, release, opts, f)
	return asset.GetBrowserDownloadURL(), err
}
