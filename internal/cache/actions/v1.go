package actions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/org/nixery-action/internal/cache"
)

// actionsV1 speaks the REST of GitHub Enterprise Server and of act. See PROTOCOL.md.
type actionsV1 struct{ actions }

// Newest implements [Store].
func (a *actionsV1) Newest(ctx context.Context, scope cache.Scope) (cache.Entry, error) {
	if !a.mayRead() {
		return cache.Entry{}, cache.ErrNotFound
	}
	query := url.Values{"keys": {scope.Prefix()}, "version": {a.version}}
	var answer struct {
		Location string `json:"archiveLocation"`
		Matched  string `json:"cacheKey"`
	}
	err := a.rest(ctx, cache.Finding, http.MethodGet, "cache?"+query.Encode(), nil, &answer)
	if isMissing(err) || err == nil && answer.Location == "" { // 204 has no body
		return cache.Entry{}, cache.ErrNotFound
	}
	if err != nil {
		return cache.Entry{}, err
	}
	return a.found(scope, answer.Matched, answer.Location)
}

func isMissing(err error) bool {
	var fault *cache.StoreError
	return errors.As(err, &fault) && fault.Status == http.StatusNotFound
}

// Save implements [Store].
func (a *actionsV1) Save(ctx context.Context, name cache.Name, size int64, open func() (io.ReadCloser, error)) error {
	if err := errors.Join(name.Check(), a.mayWrite()); err != nil {
		return cache.Failed(ctx, a.store, cache.Saving, cache.Other, err)
	}
	// act lets several jobs reserve one name.
	if newest, err := a.Newest(ctx, name.Scope); err == nil && newest.Name.Serial >= name.Serial {
		return cache.ErrExists
	}
	if err := a.pace.wait(ctx); err != nil {
		return err
	}
	entry, err := a.reserve(ctx, name, size)
	if err != nil {
		return err
	}
	if err := blocks(size, open, func(offset int64, block []byte) error { return a.patch(ctx, entry, offset, block) }); err != nil {
		return cache.Failed(ctx, a.store, cache.Saving, cache.Other, err)
	}
	return a.commit(ctx, entry, size)
}

// reserve returns the place of the entry to be, relative to the base.
func (a *actionsV1) reserve(ctx context.Context, name cache.Name, size int64) (string, error) {
	request := struct {
		Key     string `json:"key"`
		Version string `json:"version"`
		Size    int64  `json:"cacheSize"`
	}{name.String(), a.version, size}
	var answer struct {
		ID int64 `json:"cacheId"`
	}
	if err := a.rest(ctx, cache.Saving, http.MethodPost, "caches", request, &answer); err != nil {
		return "", err
	}
	if answer.ID <= 0 { // actions/cache takes it for a name that another job has
		return "", fmt.Errorf("%s: %s: %w", a.store, cache.Saving, cache.ErrExists)
	}
	return fmt.Sprintf("caches/%d", answer.ID), nil
}

func (a *actionsV1) commit(ctx context.Context, entry string, size int64) error {
	request := struct {
		Size int64 `json:"size"`
	}{size}
	err := a.rest(ctx, cache.Saving, http.MethodPost, entry, request, nil)
	var fault *cache.StoreError
	if errors.As(err, &fault) && strings.Contains(fault.Message, "already complete") { // the answer to an earlier attempt was lost
		return nil
	}
	return err
}

// patch sends one block. The range of an empty one cannot be written; act wants some range, and looks at its beginning only.
func (a *actionsV1) patch(ctx context.Context, entry string, offset int64, block []byte) error {
	last := max(offset+int64(len(block))-1, 0)
	_, err := a.do(ctx, call{
		op: cache.Saving, method: http.MethodPatch, url: a.base + entry, body: block, timeout: blockTimeout,
		header: map[string]string{"Content-Type": "application/octet-stream", "Content-Range": fmt.Sprintf("bytes %d-%d/*", offset, last)},
	})
	return err
}

func (a *actionsV1) rest(ctx context.Context, op, method, path string, request, answer any) error {
	accept := map[string]string{"Accept": "application/json;api-version=6.0-preview.1"}
	return a.exchange(ctx, call{op: op, method: method, url: a.base + path, header: accept}, request, answer)
}
