package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// HasRoom returns an error if the disk of a directory has less free space than this many bytes, for users that are not root. The
// directory may be missing: then its parent's disk counts.
func HasRoom(dir string, minFree int64) error {
	if minFree <= 0 {
		return nil
	}
	var disk syscall.Statfs_t
	err := syscall.Statfs(dir, &disk)
	for errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir {
		dir = filepath.Dir(dir)
		err = syscall.Statfs(dir, &disk)
	}
	if err != nil {
		return fmt.Errorf("asking for the free space of %s: %w", dir, err)
	}
	if free := uint64(disk.Bavail) * uint64(disk.Bsize); free < uint64(minFree) {
		return fmt.Errorf("%s has %d MB of free space, and less than %d MB is too little: remove files, or change --min-free",
			dir, free/1e6, (uint64(minFree)+1e6-1)/1e6)
	}
	return nil
}

// probeBytes is more than a file system may keep without taking a block for it.
const probeBytes = 64 << 10

// probeHolds is how long a bucket counts as writable after it was written to: every write there costs money.
const probeHolds = time.Minute

// probeKey is the one object of a bucket that is written over and over.
const probeKey = "probe"

// Ready reports whether content can be stored now: it writes a little, where uploads are gathered and, in a bucket, beside the blobs.
// A disk that is full lets itself be asked, listed and read like any other.
func (d *Store) Ready(ctx context.Context) error {
	file, err := d.newTemp()
	if err != nil {
		return &StorageError{Op: "making a file in", Key: d.tempDir(), Err: err}
	}
	probe := &tempBlob{File: file}
	defer probe.discard()
	if err := HasRoom(d.tempDir(), d.MinFree); err != nil {
		return &StorageError{Op: "asking", Key: d.name, Err: err}
	}
	_, err = file.Write(make([]byte, probeBytes))
	if err = errors.Join(err, file.Sync()); err != nil {
		return &StorageError{Op: "writing", Key: file.Name(), Err: err}
	}
	ok, err := d.bucket.IsAccessible(ctx)
	if err == nil && !ok {
		err = errors.New("there is no such bucket")
	}
	if err != nil {
		return &StorageError{Op: "asking", Key: d.name, Err: err}
	}
	return d.writable(ctx)
}

// writable writes to a bucket, once in a while.
func (d *Store) writable(ctx context.Context) error {
	if d.isDir {
		return nil
	}
	select {
	case d.probing <- struct{}{}:
		defer func() { <-d.probing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if time.Since(d.probed) < probeHolds {
		return nil
	}
	if err := d.bucket.WriteAll(ctx, probeKey, []byte("This file is written to see that the bucket can be.\n"), nil); err != nil {
		return storageError(ctx, "writing", probeKey, err)
	}
	d.probed = time.Now()
	return nil
}

func (d *Store) tempDir() string {
	if d.uploads == "" {
		return os.TempDir()
	}
	return d.uploads
}
