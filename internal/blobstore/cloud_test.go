//go:build cloud

package blobstore

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// The emulators of the clouds run in this process; all tests of the other buckets run against them, too.
func init() {
	sites["gcs"] = gcsSite
	sites["s3"] = s3Site
}

func gcsSite(t *testing.T) site {
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{Scheme: "http", Host: "127.0.0.1", PublicHost: "127.0.0.1", Writer: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "images"})
	t.Setenv("STORAGE_EMULATOR_HOST", strings.TrimPrefix(server.URL(), "http://"))
	return cloudSite(t, "gs://images/below/this")
}

func s3Site(t *testing.T) site {
	backend := s3mem.New()
	if err := backend.CreateBucket("images"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(server.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	return cloudSite(t, "s3://images/below/this?region=us-east-1&use_path_style=true&endpoint="+server.URL)
}

func cloudSite(t *testing.T, location string) site {
	open := func() *Store {
		d, err := Open(context.Background(), location, Options{TempDir: t.TempDir(), Redirect: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		return d
	}
	return site{open, func(key string, content []byte) {
		if err := open().bucket.WriteAll(context.Background(), key, content, nil); err != nil {
			t.Error(err)
		}
	}}
}

// A layer is larger than what the clouds' libraries send at once, and nothing of it stays in memory.
func TestLargeBlobs(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", 3<<20)
	everywhere(t, func(t *testing.T, s site) {
		d := s.open()
		want := put(t, d, "application/vnd.oci.image.layer.v1.tar+gzip", content)
		put(t, d, "application/vnd.oci.image.layer.v1.tar+gzip", content)
		if got, err := d.Stat(t.Context(), want.Digest); err != nil || got.Size != int64(len(content)) {
			t.Errorf("stat says %+v, %v", got, err)
		}
		if got, err := read(t, d, want.Digest, 0, -1); err != nil || got != content {
			t.Errorf("%d bytes came back: %v", len(got), err)
		}
		if got, err := read(t, d, want.Digest, 40<<20, 20); err != nil || got != content[40<<20:40<<20+20] {
			t.Errorf("a range is %q: %v", got, err)
		}
	})
}

func TestMediaTypesInTheClouds(t *testing.T) {
	for _, cloud := range []string{"gcs", "s3"} {
		t.Run(cloud, func(t *testing.T) {
			d := sites[cloud](t).open()
			want := put(t, d, "application/vnd.oci.image.layer.v1.tar+gzip", "a layer")
			if got, err := d.Stat(t.Context(), want.Digest); err != nil || got != want {
				t.Errorf("stat says %+v, %v; want %+v", got, err, want)
			}
		})
	}
}

func TestSignedURLsOfS3(t *testing.T) {
	d := s3Site(t).open()
	digest := put(t, d, "x/y", "content").Digest
	url, err := d.SignedURL(t.Context(), digest)
	if err != nil || !strings.Contains(url, digest.Hex) || !strings.Contains(url, "X-Amz-Expires=300") || !strings.Contains(url, "X-Amz-Signature=") {
		t.Errorf("URL is %q, %v", url, err)
	}
}

// With a service account's key no server is needed for a signature.
func TestSignedURLsOfGoogle(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	account, err := json.Marshal(map[string]string{"type": "service_account", "client_email": "registry@acme.example", "private_key": string(private),
		"token_uri": "https://oauth2.googleapis.com/token", "universe_domain": "googleapis.com"})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "account.json")
	if err := os.WriteFile(file, account, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	// The universe keeps the library from using what it has remembered of the emulator.
	d, err := Open(t.Context(), "gs://images/below?universe_domain=googleapis.com", Options{Redirect: true})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	url, err := d.SignedURL(t.Context(), hashOf("x"))
	if err != nil || !strings.Contains(url, "/images/below/blobs/sha256/"+hashOf("x").Hex) || !strings.Contains(url, "Signature=") || !strings.Contains(url, "registry%40acme.example") {
		t.Errorf("URL is %q, %v", url, err)
	}
}

// A cloud that is out of reach is not one that has nothing.
func TestCloudOutOfReach(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	server := httptest.NewServer(nil)
	server.Close()
	d, err := Open(t.Context(), "s3://images?region=us-east-1&endpoint="+server.URL, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, errStat := d.Stat(t.Context(), hashOf("x"))
	_, errPut := d.Put(t.Context(), hashOf("x"), "x/y", strings.NewReader("x"))
	for _, err := range []error{errStat, errPut, d.Ready(t.Context())} {
		if !errors.As(err, new(*StorageError)) || strings.Contains(err.Error(), "secret") {
			t.Errorf("error is %v", err)
		}
	}
}
