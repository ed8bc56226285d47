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

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/org/nixery-action/internal/scratch"
)

// tempBlob is a file that holds content until it is known to be whole and right. However large a layer is, none of it stays in memory.
type tempBlob struct {
	*os.File
	digest v1.Hash
	size   int64
}

// writeTemp reads content to its end. The caller drops the spool.
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

// newTemp makes a file that a folder can give its name later. Elsewhere it needs no name, so a process that is killed leaves nothing.
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
