package actions

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/org/nixery-action/internal/cache"
)

// actionsV2 speaks twirp to github.com, and Azure's block blobs to the storage behind it. See PROTOCOL.md.
type actionsV2 struct{ actions }

// Newest implements [Store].
func (a *actionsV2) Newest(ctx context.Context, scope cache.Scope) (cache.Entry, error) {
	if !a.mayRead() {
		return cache.Entry{}, cache.ErrNotFound
	}
	request := struct {
		Key         string   `json:"key"`
		RestoreKeys []string `json:"restore_keys"`
		Version     string   `json:"version"`
	}{scope.Prefix(), []string{scope.Prefix()}, a.version}
	var answer struct {
		OK      bool   `json:"ok"`
		URL     string `json:"signed_download_url"`
		Matched string `json:"matched_key"`
	}
	err := a.rpc(ctx, cache.Finding, "GetCacheEntryDownloadURL", request, &answer)
	if isNotFound(err) || err == nil && !answer.OK {
		return cache.Entry{}, cache.ErrNotFound
	}
	if err != nil {
		return cache.Entry{}, err
	}
	return a.found(scope, answer.Matched, answer.URL)
}

// Save implements [Store].
func (a *actionsV2) Save(ctx context.Context, name cache.Name, size int64, open func() (io.ReadCloser, error)) error {
	if err := errors.Join(name.Check(), a.mayWrite()); err != nil {
		return cache.Failed(ctx, a.store, cache.Saving, cache.Other, err)
	}
	if err := a.pace.wait(ctx); err != nil {
		return err
	}
	signed, err := a.reserve(ctx, name)
	if err != nil {
		return err
	}
	if err := a.upload(ctx, signed, size, open); err != nil {
		return cache.Failed(ctx, a.store, cache.Saving, cache.Other, err)
	}
	return a.finalize(ctx, name, size)
}

type verdict struct {
	OK      bool   `json:"ok"`
	URL     string `json:"signed_upload_url"`
	Message string `json:"message"`
}

func (a *actionsV2) reserve(ctx context.Context, name cache.Name) (string, error) {
	request := struct {
		Key     string `json:"key"`
		Version string `json:"version"`
	}{name.String(), a.version}
	var answer verdict
	if err := a.rpc(ctx, cache.Saving, "CreateCacheEntry", request, &answer); err != nil {
		return "", err
	}
	if !answer.OK {
		return "", a.refused(answer.Message)
	}
	return answer.URL, a.signedURL(cache.Saving, a.base, answer.URL)
}

// refused reads an answer of ok: false. Without a message it is what actions/cache takes it for: another job has the name.
func (a *actionsV2) refused(message string) error {
	if message == "" || strings.Contains(message, "already exists") {
		return fmt.Errorf("%s: %s: %w", a.store, cache.Saving, cache.ErrExists)
	}
	return &cache.StoreError{Store: a.store, Op: cache.Saving, Kind: cache.Denied, Message: cache.OwnWords(message, a.token)}
}

// finalize makes the entry seen. For a moment after the upload the service may not know of the reservation yet.
func (a *actionsV2) finalize(ctx context.Context, name cache.Name, size int64) error {
	request := struct {
		Key     string `json:"key"`
		Version string `json:"version"`
		Size    int64  `json:"size_bytes,string"` // as proto3's JSON writes an int64
	}{name.String(), a.version, size}
	_, err := cache.Retry(ctx, func() (struct{}, error) {
		var answer verdict
		err := a.rpc(ctx, cache.Saving, "FinalizeCacheEntryUpload", request, &answer)
		var fault *cache.StoreError
		if errors.As(err, &fault) {
			fault.Again = isNotFound(err) // of the rest, rpc has made its attempts
		}
		if errors.Is(err, cache.ErrExists) { // the answer to an earlier attempt was lost
			return struct{}{}, nil
		}
		if err == nil && !answer.OK {
			err = &cache.StoreError{Store: a.store, Op: cache.Saving, Message: cache.OwnWords(answer.Message, a.token), Err: errors.New("the upload was not accepted")}
		}
		return struct{}{}, err
	})
	return err
}

func isNotFound(err error) bool { return errors.As(err, new(notFoundError)) }

func (a *actionsV2) rpc(ctx context.Context, op, method string, request, answer any) error {
	return a.exchange(ctx, call{op: op, method: http.MethodPost, url: a.base + method}, request, answer)
}

// upload sends an entry that is one block in one request, and others as a list of blocks:
// https://learn.microsoft.com/rest/api/storageservices/put-block-list
func (a *actionsV2) upload(ctx context.Context, signed string, size int64, open func() (io.ReadCloser, error)) error {
	if size <= blockSize {
		return blocks(size, open, func(_ int64, block []byte) error {
			return a.put(ctx, signed, block, map[string]string{"x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"})
		})
	}
	var list blockList
	err := blocks(size, open, func(_ int64, block []byte) error {
		// All identifiers of a blob are of one length.
		id := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%08d", len(list.Latest)))
		list.Latest = append(list.Latest, id)
		return a.put(ctx, withQuery(signed, "comp=block&blockid="+strings.ReplaceAll(id, "=", "%3D")), block, nil)
	})
	if err != nil {
		return err
	}
	body, err := xml.Marshal(list)
	if err != nil {
		return fmt.Errorf("encoding list of blocks: %w", err)
	}
	return a.put(ctx, withQuery(signed, "comp=blocklist"), append([]byte(xml.Header), body...), map[string]string{"Content-Type": "application/xml"})
}

type blockList struct {
	XMLName xml.Name `xml:"BlockList"`
	Latest  []string
}

// withQuery leaves the signed part as it is.
func withQuery(signed, more string) string {
	if strings.Contains(signed, "?") {
		return signed + "&" + more
	}
	return signed + "?" + more
}

func (a *actionsV2) put(ctx context.Context, address string, body []byte, header map[string]string) error {
	_, err := a.do(ctx, call{
		op: cache.Saving, method: http.MethodPut, url: address, header: header, body: body, timeout: blockTimeout, signed: true,
	})
	return err
}
