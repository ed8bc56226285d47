package blobstore

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

// committer brings a whole file to a key, at once and for everybody. If the key is taken it is errTaken, and the key is as it was, unless
// replace is set.
type committer func(ctx context.Context, key, mediaType string, file *os.File, replace bool) error

// bucketCommitter uploads on a condition that the bucket itself keeps.
func bucketCommitter(bucket *blob.Bucket) committer {
	return func(ctx context.Context, key, mediaType string, file *os.File, replace bool) error {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		err := bucket.Upload(ctx, key, file, &blob.WriterOptions{ContentType: mediaType, IfNotExist: !replace})
		if gcerrors.Code(err) == gcerrors.FailedPrecondition {
			return errTaken
		}
		return err
	}
}

// dirCommitter gives the file its name, without a copy. fileblob would make one, and does not keep its condition between two writers.
// Content reaches the disk before the name does, so a machine that loses power has no name without content.
func dirCommitter(dir string) committer {
	return func(_ context.Context, key, _ string, file *os.File, replace bool) error {
		path := filepath.Join(dir, filepath.FromSlash(key))
		err := errors.Join(file.Sync(), file.Chmod(0o644), os.MkdirAll(filepath.Dir(path), 0o777))
		if err != nil {
			return err
		}
		if err := linkOrRename(file.Name(), path, replace); err != nil {
			return err
		}
		return syncDir(filepath.Dir(path))
	}
}

// linkOrRename renames, or links: a link is refused if the name is taken. Where there are no links, a look must do: of two that give a digest's
// name at once, both have the same bytes.
func linkOrRename(temp, path string, replace bool) error {
	if replace {
		return os.Rename(temp, path)
	}
	err := os.Link(temp, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return taken(err)
	}
	if _, err := os.Lstat(path); err == nil {
		return errTaken
	}
	return os.Rename(temp, path)
}

func taken(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return errTaken
	}
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrInvalid) {
		err = nil // not every file system has it
	}
	return errors.Join(err, d.Close())
}
