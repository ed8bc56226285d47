package blobstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/org/nixery-action/internal/scratch"
)

// Put stores content under its digest, which must be want unless want is zero. It is read once, to its end, into a file; only when its
// digest is known and right does the name come to exist. What is there already stays as it is. Errors of content's own come back
// wrapped, [*MismatchError] if it is not what was wanted, [*StorageError] if the bucket or the disk did not take it.
func (d *Store) Put(ctx context.Context, want v1.Hash, mediaType string, content io.Reader) (Descriptor, error) {
	if want != (v1.Hash{}) {
		if _, err := blobKey(want); err != nil {
			return Descriptor{}, err
		}
	}
	s, err := d.writeTemp(ctx, content)
	if err != nil {
		return Descriptor{}, err
	}
	defer s.discard()
	if want != (v1.Hash{}) && s.digest != want {
		return Descriptor{}, &MismatchError{Want: want, Got: s.digest}
	}
	stored := Descriptor{s.digest, mediaType, s.size}
	key, err := blobKey(s.digest)
	if err != nil {
		return Descriptor{}, err
	}
	err = d.commit(ctx, key, mediaType, s.File, false)
	switch {
	case err == nil:
		d.Wrote(s.size)
	case errors.Is(err, errTaken):
		err = d.repair(ctx, key, mediaType, s)
	}
	return stored, storageError(ctx, "writing", key, err)
}

// repair replaces what has a digest's name, and cannot have the digest: a disk that lost power, or a hand in the bucket.
func (d *Store) repair(ctx context.Context, key, mediaType string, s *tempBlob) error {
	there, err := d.bucket.Attributes(ctx, key)
	if err != nil || there.Size == s.size {
		return err
	}
	d.Log.Warn("a stored blob was damaged, and is replaced", "key", key, "bytes", there.Size, "want", s.size)
	return d.commit(ctx, key, mediaType, s.File, true)
}

// tempBlob is a file that holds content until it is known to be whole and right. However large a layer is, none of it stays in memory.
type tempBlob struct {
	*os.File
	digest v1.Hash
	size   int64
}

// writeTemp reads content to its end. The caller discards the file.
func (d *Store) writeTemp(ctx context.Context, content io.Reader) (*tempBlob, error) {
	file, err := d.newTemp()
	if err != nil {
		return nil, &StorageError{Op: "making a file in", Key: d.uploads, Err: err}
	}
	s := &tempBlob{File: file}
	hash, from := sha256.New(), &source{ctx: ctx, content: content}
	if s.size, err = io.Copy(io.MultiWriter(file, hash), from); err != nil {
		s.discard()
		if from.err != nil {
			return nil, from.err
		}
		return nil, &StorageError{Op: "writing", Key: file.Name(), Err: err}
	}
	s.digest = v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(hash.Sum(nil))}
	return s, nil
}

// newTemp creates a file that a directory can name later. For a bucket it has no name, so a process that is killed leaves nothing.
func (d *Store) newTemp() (*os.File, error) {
	file, err := scratch.NewFile(d.uploads)
	if d.isDir && errors.Is(err, fs.ErrNotExist) { // the directory was emptied
		if err = os.MkdirAll(d.uploads, 0o777); err == nil {
			file, err = scratch.NewFile(d.uploads)
		}
	}
	if err != nil || d.isDir {
		return file, err
	}
	return file, os.Remove(file.Name())
}

func (s *tempBlob) discard() {
	_ = s.Close()
	_ = os.Remove(s.Name()) // it may have had its name taken away
}

// source reads until its context ends, and remembers what went wrong, so that content's faults are not taken for the disk's.
type source struct {
	ctx     context.Context
	content io.Reader
	err     error
}

func (s *source) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		s.err = context.Cause(s.ctx)
		return 0, s.err
	}
	n, err := s.content.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = fmt.Errorf("reading content: %w", err)
	}
	return n, err
}

// committer atomically stores a whole file under a key. If the key exists it returns errTaken and leaves the key as it was, unless
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
	if err == nil {
		return nil
	}
	if _, statErr := os.Lstat(path); statErr == nil || errors.Is(err, fs.ErrExist) {
		return errTaken
	}
	return os.Rename(temp, path)
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
