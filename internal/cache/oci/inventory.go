package oci

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"

	"github.com/org/nixery-action/internal/cache"
)

// maxTags bounds how much a registry may tell.
const maxTags = 100_000

// List implements [Inventory]: the tags that begin as the reference says and point to entries. An entry that another tag of the
// repository points to as well is left out, because registries delete a manifest with all its tags.
func (r *Store) List(ctx context.Context) ([]cache.Kept, error) {
	tags, err := r.tags(ctx)
	if err != nil {
		return nil, err
	}
	found := make([][]cache.Kept, len(tags))
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.SetLimit(8)
	for i, tag := range tags {
		scope, ok := strings.CutPrefix(tag, r.begin)
		if !ok || !cache.OurScope.MatchString(scope) {
			continue
		}
		tasks.Go(func() (err error) {
			found[i], err = r.kept(ctx, cache.Scope(scope), tags)
			return err
		})
	}
	if err := tasks.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(append(found, []cache.Kept{})...), nil
}

func (r *Store) tags(ctx context.Context) (tags []string, err error) {
	err = r.do(ctx, cache.Listing, func() error {
		tags = nil
		lister, err := r.puller.Lister(ctx, r.tag.Context())
		for err == nil && lister.HasNext() && len(tags) <= maxTags {
			var page *remote.Tags
			if page, err = lister.Next(ctx); err == nil {
				tags = append(tags, page.Tags...)
			}
		}
		return err
	})
	if errors.Is(err, cache.ErrNotFound) {
		return []string{}, nil // no such repository: nothing has been saved
	}
	if err == nil && len(tags) > maxTags {
		err = &cache.StoreError{Store: r.String(), Op: cache.Listing, Err: fmt.Errorf("there are more than %d tags", maxTags)}
	}
	return tags, err
}

// kept is the entry of a scope, or nothing if the scope's tag is not, or not only, an entry's.
func (r *Store) kept(ctx context.Context, scope cache.Scope, tags []string) ([]cache.Kept, error) {
	descriptor, err := r.describe(ctx, r.begin+string(scope))
	if errors.Is(err, cache.ErrNotFound) {
		return []cache.Kept{}, nil // it went while we looked
	}
	if err != nil {
		return nil, err
	}
	entry, _, err := parseArtifact(scope, descriptor.Manifest)
	if err != nil {
		return []cache.Kept{}, nil // not an entry
	}
	siblings := slices.DeleteFunc(slices.Clone(tags), func(tag string) bool {
		return !strings.HasSuffix(tag, string(scope)) || tag == r.begin+string(scope)
	})
	for _, tag := range siblings {
		other, err := r.describe(ctx, tag)
		if err != nil && !errors.Is(err, cache.ErrNotFound) {
			return nil, err
		}
		if err == nil && other.Digest == descriptor.Digest {
			return []cache.Kept{}, nil // another cache's, too
		}
	}
	return []cache.Kept{{Name: entry.Name, Size: entry.Size, ID: descriptor.Digest.String()}}, nil
}

func (r *Store) describe(ctx context.Context, tag string) (descriptor *remote.Descriptor, err error) {
	err = r.do(ctx, cache.Listing, func() error {
		descriptor, err = r.puller.Get(ctx, r.tag.Context().Tag(tag))
		return err
	})
	return descriptor, err
}

// Remove implements [Inventory]. It deletes the manifest; the registry's own clean-up frees the bytes.
func (r *Store) Remove(ctx context.Context, entry cache.Kept) error {
	if entry.ID == "" {
		return fmt.Errorf("entry %s is not of %s", entry.Name, r)
	}
	err := r.do(ctx, cache.Removing, func() error {
		return r.pusher.Delete(ctx, r.tag.Context().Digest(entry.ID))
	})
	fault, ok := errors.AsType[*cache.StoreError](err)
	switch {
	case errors.Is(err, cache.ErrNotFound):
		return nil
	case ok && (fault.Status == http.StatusMethodNotAllowed || fault.Status == http.StatusNotImplemented):
		fault.Err = errors.New("this registry deletes nothing on request: allow it there (docker-registry: storage.delete.enabled), or use its own tools")
	case ok && (fault.Kind == cache.Denied || fault.Kind == cache.Unauthorized):
		fault.Err = errors.New("these credentials may not delete: log in with rights to delete, or use the registry's own tools")
	}
	return err
}
