package serve

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"gocloud.dev/blob/fileblob"

	"github.com/org/nixery-action/internal/blobstore"
)

var absentDigest = "sha256:" + strings.Repeat("0", 64)

// Every requirement on registries of the distribution specification 1.1 in its category "Pull", and the recommendations:
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pull
func TestPull(t *testing.T) {
	r := newRegistry(t, nil)
	image := r.get("/v2/shell/git/manifests/latest")
	manifest := image.manifest(t)
	layer := manifest.Layers[0]
	at := func(what, reference string) string { return "/v2/shell/git/" + what + "/" + reference }

	t.Run("the registry says that it is one", func(t *testing.T) {
		answer := r.do(http.MethodGet, "/v2/")
		if answer.StatusCode != http.StatusOK || answer.Header.Get("Docker-Distribution-API-Version") != "registry/2.0" {
			t.Errorf("%s, %v", answer.Status, answer.Header)
		}
	})
	t.Run("GET of an existing manifest provides it with 200", func(t *testing.T) {
		for _, reference := range []string{"latest", image.digest()} {
			if got := r.get(at("manifests", reference)); string(got.content) != string(image.content) {
				t.Errorf("%s is another manifest", reference)
			}
		}
	})
	t.Run("the digest in the answer is that of the manifest", func(t *testing.T) { // get compares
		if image.digest() == "" {
			t.Error("there is none")
		}
	})
	t.Run("Content-Type is the manifest's media type, without parameters", func(t *testing.T) {
		for _, accept := range []string{"", allTypes, ociTypes} {
			answer := r.get(at("manifests", "latest"), "Accept", accept)
			if got, want := answer.Header.Get("Content-Type"), answer.index(t).MediaType; got != string(want) {
				t.Errorf("for %q the header says %s, the manifest %s", accept, got, want)
			}
		}
	})
	t.Run("a manifest that is not found is 404", func(t *testing.T) {
		for _, reference := range []string{absentDigest, strings.Repeat("f", 40) + "0", "v1.2.3"} {
			r.refuse(http.StatusNotFound, "MANIFEST_UNKNOWN", http.MethodGet, at("manifests", reference))
		}
		r.refuse(http.StatusNotFound, "TAG_INVALID", http.MethodGet, at("manifests", ".INVALID_MANIFEST_NAME"))
		r.refuse(http.StatusNotFound, "TAG_INVALID", http.MethodGet, at("manifests", strings.Repeat("a", 129)))
		r.refuse(http.StatusNotFound, "MANIFEST_UNKNOWN", http.MethodGet, at("manifests", layer.Digest.String()))
	})
	t.Run("a name outside the grammar is refused", func(t *testing.T) {
		r.refuse(http.StatusNotFound, "NAME_INVALID", http.MethodGet, "/v2/Shell_/git/manifests/latest")
		r.refuse(http.StatusNotFound, "NAME_INVALID", http.MethodGet, "/v2/a..b/blobs/"+layer.Digest.String())
	})
	t.Run("GET of an existing blob provides it with 200 and its digest", func(t *testing.T) {
		for _, d := range append(manifest.Layers, manifest.Config) {
			if got := r.get(at("blobs", d.Digest.String())); int64(len(got.content)) != d.Size || got.digest() != d.Digest.String() {
				t.Errorf("%s: %d bytes of %s", d.Digest, len(got.content), got.digest())
			}
		}
	})
	t.Run("a blob that is not found is 404", func(t *testing.T) { r.absentBlobs(t) })
	t.Run("HEAD of what exists is 200 with its length and digest, and no content", func(t *testing.T) {
		for path, size := range map[string]int64{
			at("manifests", "latest"): int64(len(image.content)), at("manifests", image.digest()): int64(len(image.content)),
			at("blobs", layer.Digest.String()): layer.Size,
		} {
			answer := r.do(http.MethodHead, path)
			if answer.StatusCode != http.StatusOK || answer.ContentLength != size || answer.digest() == "" || len(answer.content) != 0 {
				t.Errorf("%s: %s, length %d, digest %q, %d bytes", path, answer.Status, answer.ContentLength, answer.digest(), len(answer.content))
			}
		}
	})
	t.Run("HEAD of what does not exist is 404", func(t *testing.T) {
		for _, path := range []string{at("manifests", absentDigest), at("blobs", absentDigest), "/v2/absent/manifests/latest"} {
			r.refuse(http.StatusNotFound, "", http.MethodHead, path)
		}
	})
	t.Run("blobs have ranges", func(t *testing.T) { r.ranges(t, at("blobs", layer.Digest.String())) })
	t.Run("errors are JSON, their codes capitals and underscores", func(t *testing.T) { r.errorCodes(t) })
}

func (r *registry) absentBlobs(t *testing.T) {
	r.refuse(http.StatusNotFound, "BLOB_UNKNOWN", http.MethodGet, "/v2/git/blobs/"+absentDigest)
	for _, digest := range []string{"latest", "sha256:0", "md5:" + strings.Repeat("0", 32), "sha256:" + strings.Repeat("F", 64), "sha512:" + strings.Repeat("0", 128)} {
		if message := r.refuse(http.StatusNotFound, "DIGEST_INVALID", http.MethodGet, "/v2/git/blobs/"+digest); !strings.Contains(message, "64") {
			t.Errorf("%s: %s", digest, message)
		}
	}
}

func (r *registry) errorCodes(t *testing.T) {
	for _, path := range []string{
		"/v2/git/manifests/" + absentDigest, "/v2/git/blobs/" + absentDigest, "/v2/a../manifests/x", "/v2/nowhere", "/v2/absent/manifests/latest",
	} {
		code, message, _ := r.do(http.MethodGet, path).fault(t)
		if message == "" || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" {
			t.Errorf("%s: %q, %q", path, code, message)
		}
	}
}

// RFC 9110, section 14.
func (r *registry) ranges(t *testing.T, path string) {
	whole := r.get(path)
	size := len(whole.content)
	if whole.Header.Get("Accept-Ranges") != "bytes" {
		t.Error("the server does not say that there are ranges")
	}
	for field, want := range map[string][2]int{
		"bytes=0-9":                          {0, 10},
		"bytes=5-":                           {5, size},
		"bytes=-7":                           {size - 7, size},
		fmt.Sprintf("bytes=%d-9999999", 3):   {3, size},
		fmt.Sprintf("bytes=%d-", size-1):     {size - 1, size},
		fmt.Sprintf("bytes=10-%d", size-1):   {10, size},
		fmt.Sprintf("bytes=-%d", 2*size+100): {0, size},
	} {
		answer := r.do(http.MethodGet, path, "Range", field)
		if answer.StatusCode != http.StatusPartialContent || string(answer.content) != string(whole.content[want[0]:want[1]]) {
			t.Errorf("%s: %s, %d bytes", field, answer.Status, len(answer.content))
		}
		if got, want := answer.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-%d/%d", want[0], want[1]-1, size); got != want {
			t.Errorf("%s: Content-Range is %s, want %s", field, got, want)
		}
	}
	beyond := r.do(http.MethodGet, path, "Range", "bytes="+strconv.Itoa(size)+"-")
	if beyond.StatusCode != http.StatusRequestedRangeNotSatisfiable || beyond.Header.Get("Content-Range") != fmt.Sprintf("bytes */%d", size) {
		t.Errorf("a range beyond the end: %s, %s", beyond.Status, beyond.Header.Get("Content-Range"))
	}
}

// RFC 9110, section 13: who has it already is told so.
func TestConditions(t *testing.T) {
	r := newRegistry(t, nil)
	image := r.get("/v2/git/manifests/latest")
	for _, path := range []string{
		"/v2/git/manifests/latest", "/v2/git/manifests/" + image.digest(), "/v2/git/blobs/" + image.manifest(t).Config.Digest.String(),
	} {
		etag := r.get(path).Header.Get("ETag")
		if answer := r.do(http.MethodGet, path, "If-None-Match", etag); answer.StatusCode != http.StatusNotModified || len(answer.content) != 0 {
			t.Errorf("%s with its own ETag: %s, %d bytes", path, answer.Status, len(answer.content))
		}
		if answer := r.do(http.MethodGet, path, "If-None-Match", `"sha256:0"`); answer.StatusCode != http.StatusOK {
			t.Errorf("%s with another ETag: %s", path, answer.Status)
		}
	}
}

func TestOtherMethods(t *testing.T) {
	r := newRegistry(t, nil)
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, "BREW"} {
		for _, path := range []string{"/v2/", "/v2/git/manifests/latest", "/v2/git/blobs/uploads/", "/v2/git/blobs/" + absentDigest} {
			answer := r.do(method, path)
			if code, _, _ := answer.fault(t); answer.StatusCode != http.StatusMethodNotAllowed || answer.Header.Get("Allow") != "GET, HEAD" || code != "UNSUPPORTED" {
				t.Errorf("%s %s: %s, Allow %q, code %s", method, path, answer.Status, answer.Header.Get("Allow"), code)
			}
		}
	}
	if r.nix.count("") != 0 {
		t.Errorf("processes were started: %v", r.nix.calls)
	}
}

// What the specification's conformance suite asks in its category "Pull" beside what TestPull does: 400 or 404, not 405.
func TestPutOfNoDigest(t *testing.T) {
	r := newRegistry(t, nil)
	r.refuse(http.StatusNotFound, "DIGEST_INVALID", http.MethodPut, "/v2/git/manifests/sha256:totallywrong")
}

// Where the storage signs URLs, blobs are fetched from there; everything else is answered here.
func TestRedirects(t *testing.T) {
	signer := fileblob.NewURLSignerHMAC(&url.URL{Scheme: "https", Host: "bucket.example.com"}, []byte("key"))
	bucket, err := fileblob.OpenBucket(t.TempDir(), &fileblob.Options{URLSigner: signer})
	if err != nil {
		t.Fatal(err)
	}
	r := newRegistry(t, func(o *Options) {
		o.Blobs = blobstore.New(bucket, blobstore.Options{TempDir: t.TempDir(), Redirect: true})
	})
	layer := r.get("/v2/app/manifests/latest").manifest(t).Layers[0]
	path := "/v2/app/blobs/" + layer.Digest.String()
	answer := r.do(http.MethodGet, path)
	if to := answer.Header.Get("Location"); answer.StatusCode != http.StatusTemporaryRedirect || !strings.HasPrefix(to, "https://bucket.example.com?") ||
		!strings.Contains(to, layer.Digest.Hex) {
		t.Errorf("GET: %s, to %s", answer.Status, to)
	}
	if answer := r.do(http.MethodHead, path); answer.StatusCode != http.StatusOK || answer.ContentLength != layer.Size {
		t.Errorf("HEAD: %s, %d bytes", answer.Status, answer.ContentLength)
	}
	r.refuse(http.StatusNotFound, "BLOB_UNKNOWN", http.MethodGet, "/v2/app/blobs/"+absentDigest)
}

func TestNegotiation(t *testing.T) {
	r := newRegistry(t, nil)
	for _, c := range []struct {
		name, accept string
		want         types.MediaType
		architecture string // of the one image, or of all of an index
	}{
		{"app", "", types.DockerManifestSchema2, "amd64"},
		{"app", "*/*", types.DockerManifestSchema2, "amd64"},
		{"app", allTypes + ", */*", types.DockerManifestList, "amd64 arm64"},
		{"app", ociTypes, types.OCIImageIndex, "amd64 arm64"},
		{"app", string(types.OCIManifestSchema1), types.OCIManifestSchema1, "amd64"},
		{"arm64/app", "", types.DockerManifestSchema2, "arm64"},
		{"arm64/app", allTypes, types.DockerManifestSchema2, "arm64"},
		{"amd64/app", ociTypes, types.OCIManifestSchema1, "amd64"},
	} {
		answer := r.get("/v2/"+c.name+"/manifests/latest", "Accept", c.accept)
		if got := types.MediaType(answer.Header.Get("Content-Type")); got != c.want || answer.Header.Get("Vary") != "Accept" {
			t.Errorf("%s, accepting %q, is a %s (Vary: %s)", c.name, c.accept, got, answer.Header.Get("Vary"))
		}
		if got := strings.Join(r.architectures(c.name, answer), " "); got != c.architecture {
			t.Errorf("%s, accepting %q, is for %s", c.name, c.accept, got)
		}
	}
}

// architectures are those that configs tell, of an image or of an index by way of its manifests.
func (r *registry) architectures(name string, answer reply) []string {
	r.t.Helper()
	if types.MediaType(answer.Header.Get("Content-Type")).IsIndex() {
		var all []string
		for _, d := range answer.index(r.t).Manifests {
			// By digest, whatever is accepted.
			child := r.get("/v2/"+name+"/manifests/"+d.Digest.String(), "Accept", "text/plain")
			all = append(all, r.architectures(name, child)...)
		}
		return all
	}
	raw := r.get("/v2/" + name + "/blobs/" + answer.manifest(r.t).Config.Digest.String())
	config, err := v1.ParseConfigFile(strings.NewReader(string(raw.content)))
	if err != nil {
		r.t.Fatal(err)
	}
	return []string{config.Architecture}
}

// An index and an image alone have the same image for an architecture; OCI's and docker's have the same layers.
func TestVariantsAgree(t *testing.T) {
	r := newRegistry(t, nil)
	single := r.get("/v2/arm64/app/manifests/latest")
	index := r.get("/v2/app/manifests/latest", "Accept", allTypes).index(t)
	if got := index.Manifests[1].Digest.String(); got != single.digest() {
		t.Errorf("in the index it is %s, alone %s", got, single.digest())
	}
	oci := r.get("/v2/arm64/app/manifests/latest", "Accept", ociTypes).manifest(t)
	if diff := cmp.Diff(digestsOf(single.manifest(t)), digestsOf(oci)); diff != "" {
		t.Errorf("layers (-docker +oci):\n%s", diff)
	}
}

func digestsOf(m *v1.Manifest) []string {
	var digests []string
	for _, layer := range m.Layers {
		digests = append(digests, layer.Digest.String())
	}
	return digests
}

func TestTags(t *testing.T) {
	r := newRegistry(t, nil)
	r.get("/v2/git/manifests/" + someCommit)
	for path, want := range map[string]string{
		"/v2/git/tags/list":                           `{"name":"git","tags":["` + someCommit + `","latest"]}`,
		"/v2/htop/tags/list":                          `{"name":"htop","tags":["latest"]}`,
		"/v2/git/tags/list?n=1":                       `{"name":"git","tags":["` + someCommit + `"]}`,
		"/v2/git/tags/list?n=1&last=" + someCommit:    `{"name":"git","tags":["latest"]}`,
		"/v2/git/tags/list?n=5":                       `{"name":"git","tags":["` + someCommit + `","latest"]}`,
		"/v2/git/tags/list?n=0":                       `{"name":"git","tags":[]}`,
		"/v2/git/tags/list?last=latest":               `{"name":"git","tags":[]}`,
		"/v2/a/manifests/tags/list":                   `{"name":"a/manifests","tags":["latest"]}`,
		"/v2/git/tags/list?unknown=%zz&&n=&last=;x=y": `{"name":"git","tags":["` + someCommit + `","latest"]}`,
	} {
		answer := r.do(http.MethodGet, path)
		if answer.StatusCode != http.StatusOK || string(answer.content) != want || answer.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s %s, want %s", path, answer.Status, answer.content, want)
		}
	}
	link := r.do(http.MethodGet, "/v2/git/tags/list?n=1").Header.Get("Link")
	if want := "</v2/git/tags/list?last=" + someCommit + `&n=1>; rel="next"`; link != want {
		t.Errorf("Link is %s, want %s", link, want)
	}
	r.refuse(http.StatusBadRequest, "UNSUPPORTED", http.MethodGet, "/v2/git/tags/list?n=x")
}

func TestReferrers(t *testing.T) {
	r := newRegistry(t, nil)
	answer := r.do(http.MethodGet, "/v2/git/referrers/"+absentDigest+"?artifactType=a/b")
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != string(types.OCIImageIndex) ||
		len(answer.index(t).Manifests) != 0 || !strings.Contains(string(answer.content), `"manifests":[]`) || answer.Header.Get("OCI-Filters-Applied") != "artifactType" {
		t.Errorf("%s %v %s", answer.Status, answer.Header, answer.content)
	}
	r.refuse(http.StatusBadRequest, "DIGEST_INVALID", http.MethodGet, "/v2/git/referrers/latest")
}
