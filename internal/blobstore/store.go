package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"

	"github.com/org/nixery-action/internal/scratch"
)

// Options are the settings of a store; the zero value logs nothing and redirects no client.
type Options struct {
	// TempDir is where uploads are written until they are complete; "" means the system's. A directory has its own.
	TempDir string
	// Redirect lets SignedURL sign. Only Google's and S3's buckets can.
	Redirect bool
	// MinFree is how many bytes the disk of a directory, or of TempDir, must have free for Ready; 0 is no limit.
	MinFree int64
	// Wrote is called with the size of each blob that is new to the bucket; nil is allowed. Calls may overlap.
	Wrote func(bytes int64)
	// Log reports damage that was repaired; nil logs nothing.
	Log *slog.Logger
}

// Store is safe for concurrent use, and several processes may have one bucket.
type Store struct {
	bucket  *blob.Bucket
	name    string
	commit  committer
	uploads string // directory of temporary files
	isDir   bool   // the bucket is a directory, and uploads is on the same disk
	Options

	probing chan struct{} // holds a token while Ready writes to the bucket
	probed  time.Time     // when it last did
}

// Descriptor describes a blob.
type Descriptor struct {
	Digest v1.Hash
	// MediaType is exact for manifests and indexes. For other blobs it is the bucket's, or application/octet-stream: it belongs
	// to the descriptor that names them.
	MediaType string
	Size      int64 // bytes
}

// New returns the store in a bucket, which stays the caller's.
func New(bucket *blob.Bucket, o Options) *Store {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Wrote == nil {
		o.Wrote = func(int64) {}
	}
	return &Store{bucket: bucket, name: "a bucket", commit: bucketCommitter(bucket), uploads: o.TempDir, Options: o, probing: make(chan struct{}, 1)}
}

// String names the store in logs.
func (d *Store) String() string { return d.name }

// Close closes the bucket of a store that Open has opened.
func (d *Store) Close() error { return d.bucket.Close() }

// Stat describes a blob. [ErrNotFound] if there is none, [*StorageError] if the bucket does not tell.
func (d *Store) Stat(ctx context.Context, digest v1.Hash) (Descriptor, error) {
	key, err := blobKey(digest)
	if err != nil {
		return Descriptor{}, err
	}
	attributes, err := d.bucket.Attributes(ctx, key)
	if err != nil {
		return Descriptor{}, storageError(ctx, "looking for", key, err)
	}
	mediaType, err := d.mediaType(ctx, key, attributes.ContentType, attributes.Size)
	return Descriptor{digest, mediaType, attributes.Size}, err
}

// Open reads a blob from offset: length bytes, or to the end if length is below 0 or reaches further. The caller closes it. What is
// read from the first byte to the last is checked: content that is shorter, or has another digest, ends in a [*StorageError] in
// place of io.EOF. Errors are those of Stat.
func (d *Store) Open(ctx context.Context, digest v1.Hash, offset, length int64) (io.ReadCloser, Descriptor, error) {
	key, err := blobKey(digest)
	if err != nil {
		return nil, Descriptor{}, err
	}
	content, err := d.bucket.NewRangeReader(ctx, key, offset, length, nil)
	if err != nil {
		return nil, Descriptor{}, storageError(ctx, "reading", key, err)
	}
	mediaType, err := d.mediaType(ctx, key, content.ContentType(), content.Size())
	if err != nil {
		return nil, Descriptor{}, errors.Join(err, content.Close())
	}
	stored := Descriptor{digest, mediaType, content.Size()}
	left := max(stored.Size-offset, 0)
	whole := offset == 0 && (length < 0 || length >= left)
	if length >= 0 {
		left = min(left, length)
	}
	return newChecked(ctx, content, key, digest, left, whole), stored, nil
}

// redirectFor is as long as Nixery's redirects live.
const redirectFor = 5 * time.Minute

// SignedURL returns where every client can read a blob for five minutes, or "" if redirects are off. It does not check that the blob exists.
func (d *Store) SignedURL(ctx context.Context, digest v1.Hash) (string, error) {
	key, err := blobKey(digest)
	if err != nil || !d.Redirect {
		return "", err
	}
	url, err := d.bucket.SignedURL(ctx, key, &blob.SignedURLOptions{Expiry: redirectFor})
	if err != nil {
		return "", storageError(ctx, "signing a URL of", key, err)
	}
	return url, nil
}

// Open opens the store at a location: a directory, as a path or file:///path, which is created if it is missing; mem://, which lasts as long as
// the process; and in a build with the tag cloud gs://bucket[/prefix] and s3://bucket[/prefix], whose queries are those of
// gocloud.dev: s3://b?region=…&endpoint=…&use_path_style=true. The caller closes it.
func Open(ctx context.Context, location string, o Options) (*Store, error) {
	scheme, rest, found := strings.Cut(location, "://")
	if o.Redirect && scheme != "gs" && scheme != "s3" {
		return nil, fmt.Errorf("storage %s: clients can be redirected to gs:// and s3:// only", location)
	}
	switch {
	case !found || scheme == "file":
		return openDir(strings.TrimPrefix(location, "file://"), o)
	case location == "mem://":
		return named(New(memblob.OpenBucket(nil), o), "memory"), nil
	case scheme != "gs" && scheme != "s3" || rest == "":
		return nil, fmt.Errorf("storage %q: want a directory, mem://, gs://bucket or s3://bucket", location)
	}
	return openCloud(ctx, location, o)
}

func named(d *Store, name string) *Store {
	d.name = name
	return d
}

// openDir reads by fileblob, and writes by itself: see dirCommitter.
func openDir(dir string, o Options) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("storage %s: %w", dir, err)
	}
	spools := filepath.Join(dir, "uploads")
	if err := os.MkdirAll(spools, 0o777); err != nil {
		return nil, fmt.Errorf("storage %s: %w", dir, err)
	}
	bucket, err := fileblob.OpenBucket(dir, &fileblob.Options{Metadata: fileblob.MetadataDontWrite})
	if err != nil {
		return nil, fmt.Errorf("storage %s: %w", dir, err)
	}
	d := named(New(bucket, o), "directory "+dir)
	d.commit, d.uploads, d.isDir = dirCommitter(dir), spools, true
	scratch.Sweep(d.Log, spools)
	return d, nil
}
