//go:build cloud

package blobstore

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"gocloud.dev/blob"
	// For their URLs. They are most of the program's size, so only a build of its own has them.
	_ "gocloud.dev/blob/gcsblob"
	_ "gocloud.dev/blob/s3blob"
)

// openCloud opens a bucket by its scheme, and the part of it below the URL's path.
func openCloud(ctx context.Context, location string, o Options) (*Store, error) {
	u, err := url.Parse(location)
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	prefix := strings.Trim(u.Path, "/")
	u.Path = ""
	bucket, err := blob.OpenBucket(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("storage %s://%s: %w", u.Scheme, u.Host, err)
	}
	if prefix != "" {
		bucket = blob.PrefixedBucket(bucket, prefix+"/")
	}
	return named(New(bucket, o), u.Scheme+"://"+u.Host), nil
}
