package blobstore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"

	"github.com/org/nixery-action/internal/scratch"
)

// Open opens the depot at a location: a folder, as a path or file:///path, which is made if it is missing; mem://, which lasts as long as
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
		return nil, fmt.Errorf("storage %q: want a folder, mem://, gs://bucket or s3://bucket", location)
	}
	return openCloud(ctx, location, o)
}

func named(d *Store, name string) *Store {
	d.name = name
	return d
}

// openDir reads by fileblob, and writes by itself: see folderPlacer.
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
	d := named(New(bucket, o), "folder "+dir)
	d.commit, d.uploads, d.isDir = dirCommitter(dir), spools, true
	scratch.Sweep(d.Log, spools)
	return d, nil
}
