package blobstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/blob/memblob"
)

// site is a bucket that several processes can open.
type site struct {
	open   func() *Store
	tamper func(key string, content []byte)
}

var sites = map[string]func(*testing.T) site{"memory": memorySite, "directory": dirSite}

func memorySite(t *testing.T) site {
	bucket := memblob.OpenBucket(nil)
	t.Cleanup(func() { _ = bucket.Close() })
	return site{
		open: func() *Store { return New(bucket, Options{TempDir: t.TempDir()}) },
		tamper: func(key string, content []byte) {
			if err := bucket.WriteAll(context.Background(), key, content, nil); err != nil {
				t.Error(err)
			}
		},
	}
}

func dirSite(t *testing.T) site {
	dir := filepath.Join(t.TempDir(), "store")
	return site{
		open: func() *Store {
			d, err := Open(context.Background(), dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = d.Close() })
			return d
		},
		tamper: func(key string, content []byte) {
			if err := os.WriteFile(filepath.Join(dir, key), content, 0o644); err != nil {
				t.Error(err)
			}
		},
	}
}

// everywhere runs a test against every kind of bucket.
func everywhere(t *testing.T, test func(*testing.T, site)) {
	for name, newSite := range sites {
		t.Run(name, func(t *testing.T) { test(t, newSite(t)) })
	}
}

func hashOf(content string) v1.Hash {
	sum := sha256.Sum256([]byte(content))
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

func put(t *testing.T, d *Store, mediaType, content string) Descriptor {
	t.Helper()
	stored, err := d.Put(t.Context(), hashOf(content), mediaType, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func read(t *testing.T, d *Store, digest v1.Hash, offset, length int64) (string, error) {
	t.Helper()
	content, _, err := d.Open(t.Context(), digest, offset, length)
	if err != nil {
		return "", err
	}
	defer content.Close()
	all, err := io.ReadAll(content)
	return string(all), err
}

const manifest1 = `{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json"}`

func TestWhatIsPutComesBack(t *testing.T) {
	everywhere(t, func(t *testing.T, s site) {
		want := put(t, s.open(), "application/vnd.docker.distribution.manifest.v2+json", manifest1)
		d := s.open()
		got, err := d.Stat(t.Context(), want.Digest)
		if err != nil || got != want {
			t.Errorf("stat says %+v, %v; want %+v", got, err, want)
		}
		if got, err := read(t, d, want.Digest, 0, -1); err != nil || got != manifest1 {
			t.Errorf("got %q, %v", got, err)
		}
		unknown, err := d.Put(t.Context(), v1.Hash{}, "x/y", strings.NewReader("of unknown digest"))
		if err != nil || unknown.Digest != hashOf("of unknown digest") || unknown.Size != 17 {
			t.Errorf("put says %+v, %v", unknown, err)
		}
		if got, err := read(t, d, unknown.Digest, 0, -1); err != nil || got != "of unknown digest" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestRanges(t *testing.T) {
	everywhere(t, func(t *testing.T, s site) {
		d := s.open()
		digest := put(t, d, "x/y", "0123456789").Digest
		for _, c := range []struct {
			offset, length int64
			want           string
		}{{0, 4, "0123"}, {3, 4, "3456"}, {3, -1, "3456789"}, {8, 10, "89"}, {0, 10, "0123456789"}, {0, 0, ""}} {
			if got, err := read(t, d, digest, c.offset, c.length); err != nil || got != c.want {
				t.Errorf("%d+%d: %q, %v; want %q", c.offset, c.length, got, err, c.want)
			}
		}
	})
}

func TestNotFoundIsToldApart(t *testing.T) {
	everywhere(t, func(t *testing.T, s site) {
		d := s.open()
		_, errStat := d.Stat(t.Context(), hashOf("x"))
		_, errRead := read(t, d, hashOf("x"), 0, -1)
		_, errTag := d.Tag(t.Context(), "x")
		for _, err := range []error{errStat, errRead, errTag} {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("error is %v", err)
			}
		}
	})
}

func TestBadDigestsNeverReachABucket(t *testing.T) {
	good := hashOf("x").Hex
	everywhere(t, func(t *testing.T, s site) {
		d := s.open()
		for _, bad := range []v1.Hash{{}, {Algorithm: "sha256"}, {Algorithm: "sha512", Hex: good}, {Algorithm: "sha256", Hex: good[1:]},
			{Algorithm: "sha256", Hex: strings.ToUpper(good)}, {Algorithm: "sha256", Hex: "../../" + good[6:]}, {Algorithm: "sha256", Hex: good + "\n"}} {
			_, errStat := d.Stat(t.Context(), bad)
			_, _, errOpen := d.Open(t.Context(), bad, 0, -1)
			_, errSign := d.SignedURL(t.Context(), bad)
			errs := []error{errStat, errOpen, errSign}
			if bad != (v1.Hash{}) {
				_, err := d.Put(t.Context(), bad, "x/y", strings.NewReader("x"))
				errs = append(errs, err)
			}
			for _, err := range errs {
				if !errors.As(err, new(*DigestError)) {
					t.Errorf("%s: error is %v", bad, err)
				}
			}
		}
	})
}

func TestWrongContentIsNotStored(t *testing.T) {
	everywhere(t, func(t *testing.T, s site) {
		d := s.open()
		_, err := d.Put(t.Context(), hashOf("right"), "x/y", strings.NewReader("wrong"))
		if !errors.As(err, new(*MismatchError)) {
			t.Errorf("error is %v", err)
		}
		broken := errors.New("disk on fire")
		_, err = d.Put(t.Context(), hashOf("right"), "x/y", io.MultiReader(strings.NewReader("ri"), errReader{broken}))
		if !errors.Is(err, broken) || errors.As(err, new(*StorageError)) {
			t.Errorf("error is %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err = d.Put(ctx, hashOf("right"), "x/y", strings.NewReader("right")); !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
		for _, content := range []string{"right", "wrong", "ri"} {
			if _, err := d.Stat(t.Context(), hashOf(content)); !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: %v", content, err)
			}
		}
		noTempFiles(t, d)
	})
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func noTempFiles(t *testing.T, d *Store) {
	t.Helper()
	files, err := os.ReadDir(d.uploads)
	if err != nil || len(files) > 0 {
		t.Errorf("uploads are left: %v, %v", files, err)
	}
}

// Of Nixery's manifests, a concurrent pull could read an empty file.
func TestContentIsNeverWrittenAgain(t *testing.T) {
	dir := t.TempDir()
	d, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	digest := put(t, d, "x/y", "content").Digest
	file := filepath.Join(dir, "blobs/sha256", digest.Hex)
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	put(t, d, "x/y", "content")
	after, err := os.Stat(file)
	if err != nil || !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
		t.Errorf("the file was written again: %v", err)
	}
}

func TestManyWritersOfOneDigest(t *testing.T) {
	content := strings.Repeat("layer", 10_000)
	everywhere(t, func(t *testing.T, s site) {
		var wait sync.WaitGroup
		for range 8 {
			d := s.open()
			wait.Go(func() {
				if _, err := d.Put(t.Context(), hashOf(content), "x/y", strings.NewReader(content)); err != nil {
					t.Error(err)
				}
				if got, err := read(t, d, hashOf(content), 0, -1); err != nil || got != content {
					t.Errorf("read %d bytes: %v", len(got), err)
				}
			})
		}
		wait.Wait()
		noTempFiles(t, s.open())
	})
}

func TestDamageIsSeenAndMended(t *testing.T) {
	everywhere(t, func(t *testing.T, s site) {
		d := s.open()
		stored := put(t, d, "x/y", "the whole content")
		key, _ := blobKey(stored.Digest)
		for _, damaged := range []string{"the whole c0ntent", "", "the whole"} {
			s.tamper(key, []byte(damaged))
			content, seen, err := d.Open(t.Context(), stored.Digest, 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			// As an HTTP server reads: no more than the length that it was told.
			got, err := io.Copy(io.Discard, io.LimitReader(content, max(seen.Size, 1)))
			if !errors.As(err, new(*StorageError)) || got == int64(len("the whole content")) {
				t.Errorf("%q: %d bytes, error is %v", damaged, got, err)
			}
			_ = content.Close()
		}
		put(t, d, "x/y", "the whole content")
		if got, err := read(t, d, stored.Digest, 0, -1); err != nil || got != "the whole content" {
			t.Errorf("after it was put again: %q, %v", got, err)
		}
	})
}

func TestTags(t *testing.T) {
	everywhere(t, func(t *testing.T, s site) {
		key := "shell/git:" + strings.Repeat("../", 200)
		for _, source := range []string{"first", "second"} {
			want := Tag{Key: key, Digests: map[string]v1.Hash{"amd64": hashOf(source)}, Made: time.Unix(1e9, 0).UTC(), Source: source, Fixed: true}
			if err := s.open().SetTag(t.Context(), key, want); err != nil {
				t.Fatal(err)
			}
			got, err := s.open().Tag(t.Context(), key)
			if err != nil || got.Source != source || got.Digests["amd64"] != hashOf(source) || !got.Made.Equal(want.Made) || !got.Fixed {
				t.Errorf("got %+v, %v", got, err)
			}
		}
		if _, err := s.open().Tag(t.Context(), "shell/git:"); !errors.Is(err, ErrNotFound) {
			t.Errorf("another tag: %v", err)
		}
		for _, damaged := range []string{"{}", "", `{"key":"shell/g`, strings.Repeat(" ", maxTag) + "{}"} {
			s.tamper(tagKey(key), []byte(damaged))
			if _, err := s.open().Tag(t.Context(), key); !errors.Is(err, ErrNotFound) {
				t.Errorf("a tag that is %.20q: %v", damaged, err)
			}
		}
		if err := s.open().SetTag(t.Context(), key, Tag{}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.open().Tag(t.Context(), key); err != nil {
			t.Errorf("after it was set again: %v", err)
		}
	})
}

// An upload of a process that was killed is removed, however young it is; one that goes on stays, however old.
func TestLeftUploadsAreSwept(t *testing.T) {
	dir := t.TempDir()
	uploads := filepath.Join(dir, "uploads")
	left, other := filepath.Join(uploads, ".nixery-tmp-"+strings.Repeat("A", 26)), filepath.Join(uploads, "other")
	if err := errors.Join(os.Mkdir(uploads, 0o755), os.WriteFile(left, nil, 0o644), os.WriteFile(other, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	d, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	upload, err := d.newTemp()
	if err != nil {
		t.Fatal(err)
	}
	defer upload.Close()
	past := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(upload.Name(), past, past); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir, Options{}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{left: false, other: true, upload.Name(): true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestReady(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	d, err := Open(t.Context(), "file://"+dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	noTempFiles(t, d)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := d.Ready(t.Context()); err != nil {
		t.Errorf("without its directory: %v", err)
	}
	if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := d.Ready(t.Context()); !errors.As(err, new(*StorageError)) {
		t.Errorf("with a file in the place of its directory: %v", err)
	}
}

// A store whose directory is emptied, or removed, goes on as an empty one.
func TestEmptiedDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	d, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, empty := range []func() error{
		func() error {
			return errors.Join(os.RemoveAll(filepath.Join(dir, "uploads")), os.RemoveAll(filepath.Join(dir, "blobs")))
		},
		func() error { return os.RemoveAll(dir) },
	} {
		digest := put(t, d, "x/y", "content").Digest
		if err := d.SetTag(t.Context(), "tag", Tag{}); err != nil {
			t.Fatal(err)
		}
		if err := empty(); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Stat(t.Context(), digest); !errors.Is(err, ErrNotFound) {
			t.Errorf("the blob: %v", err)
		}
		if got, err := read(t, d, put(t, d, "x/y", "content").Digest, 0, -1); err != nil || got != "content" {
			t.Errorf("%q, %v", got, err)
		}
		if err := errors.Join(d.Ready(t.Context()), d.SetTag(t.Context(), "tag", Tag{})); err != nil {
			t.Error(err)
		}
	}
}

// Less free space than is asked for is not ready, whether uploads are gathered in the directory itself or on their way to a bucket.
func TestReadyWantsFreeSpace(t *testing.T) {
	for location, o := range map[string]Options{t.TempDir(): {}, "mem://": {TempDir: t.TempDir()}} {
		for minFree, ready := range map[int64]bool{0: true, 1: true, 1 << 60: false} {
			o.MinFree = minFree
			d, err := Open(t.Context(), location, o)
			if err != nil {
				t.Fatal(err)
			}
			err = d.Ready(t.Context())
			if ready != (err == nil) || err != nil && (!errors.As(err, new(*StorageError)) || !strings.Contains(err.Error(), "--min-free")) {
				t.Errorf("%s with %d free: %v", location, minFree, err)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if err := HasRoom(filepath.Join(t.TempDir(), "not/there/yet"), 1); err != nil {
		t.Error(err)
	}
}

// readOnly is a bucket that answers, and takes nothing.
type readOnly struct {
	flaky
	writes int
	refuse bool
}

func (r *readOnly) NewTypedWriter(ctx context.Context, key, contentType string, o *driver.WriterOptions) (driver.Writer, error) {
	r.writes++
	if r.refuse {
		return nil, errFlaky
	}
	return r.flaky.NewTypedWriter(ctx, key, contentType, o)
}

// A bucket that can be read is ready only if it can be written to. That is tried now and then, and at once after it has failed.
func TestReadyWritesToABucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &readOnly{flaky: flaky{objects: map[string]object{}}, refuse: true}
		bucket := blob.NewBucket(r)
		defer bucket.Close()
		d := New(bucket, Options{TempDir: t.TempDir()})
		for range 2 {
			if err := d.Ready(t.Context()); !errors.As(err, new(*StorageError)) {
				t.Errorf("a bucket that takes nothing: %v", err)
			}
		}
		r.refuse, r.writes = false, 0
		for range 10 {
			if err := d.Ready(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if r.writes != 1 {
			t.Errorf("%d writes", r.writes)
		}
		r.refuse = true
		time.Sleep(probeHolds)
		if err := d.Ready(t.Context()); err == nil {
			t.Error("a bucket that takes nothing any more is ready")
		}
	})
}

func TestLocations(t *testing.T) {
	for location, says := range map[string]string{
		"ftp://x": "want a directory, mem://", "gs://": "want a directory", "mem://x": "want a directory",
		"/dev/null/x": "storage /dev/null/x",
	} {
		if _, err := Open(t.Context(), location, Options{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", location, err)
		}
	}
	for _, location := range []string{"mem://", "./store"} {
		if _, err := Open(t.Context(), location, Options{Redirect: true}); err == nil || !strings.Contains(err.Error(), "redirected to gs:// and s3:// only") {
			t.Errorf("%s with redirects: %v", location, err)
		}
	}
	for _, location := range []string{"mem://", t.TempDir(), "file://" + t.TempDir()} {
		d, err := Open(t.Context(), location, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if url, err := d.SignedURL(t.Context(), hashOf("x")); err != nil || url != "" {
			t.Errorf("%s: signed %q, %v", location, url, err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}
